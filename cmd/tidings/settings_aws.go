package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/wire/aws"
)

// awsSettings: keys are secret keys by access key id.
type awsSettings struct {
	Listen  string            `yaml:"listen"`
	Hosts   []string          `yaml:"hosts"`
	Account string            `yaml:"account"`
	Region  string            `yaml:"region"`
	URL     string            `yaml:"url"`
	Keys    map[string]string `yaml:"keys"`
	Reset   bool              `yaml:"reset"`
	Queues  []sqsEntry        `yaml:"queues"`
	Topics  []snsEntry        `yaml:"topics"`
}

// sqsEntry is a queue of SQS to be there at the start: "jobs", or with what create sqs calls the same.
type sqsEntry struct {
	Name            string            `yaml:"name"`
	Visibility      string            `yaml:"visibility"`
	Delay           string            `yaml:"delay"`
	Wait            string            `yaml:"wait"`
	Retention       string            `yaml:"retention"`
	MaxSize         int64             `yaml:"max-size"`
	DeadLetterQueue string            `yaml:"dead-letter-queue"`
	MaxReceives     int               `yaml:"max-receives"`
	ContentDedup    bool              `yaml:"content-dedup"`
	HighThroughput  bool              `yaml:"high-throughput"`
	Attributes      map[string]string `yaml:"attributes"`
	Tags            map[string]string `yaml:"tags"`
}

// UnmarshalYAML takes the name alone, and the long form.
func (q *sqsEntry) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&q.Name) == nil {
		return nil
	}
	type long sqsEntry
	return unmarshal((*long)(q))
}

// flags are what create sqs would be given.
func (q *sqsEntry) flags() *sqsFlags {
	f := &sqsFlags{visibility: q.Visibility, delay: q.Delay, wait: q.Wait, retention: q.Retention, maxSize: q.MaxSize,
		deadQueue: q.DeadLetterQueue, maxReceives: q.MaxReceives, contentDedup: q.ContentDedup,
		highThroughput: q.HighThroughput, attributes: q.Attributes, tags: q.Tags}
	if f.maxReceives == 0 {
		f.maxReceives = usualReceives
	}
	given := map[string]bool{"visibility": q.Visibility != "", "delay": q.Delay != "", "wait": q.Wait != "",
		"retention": q.Retention != "", "max-size": q.MaxSize != 0}
	f.given = func(flag string) bool { return given[flag] }
	return f
}

// snsEntry is a topic of SNS to be there at the start: "alerts", or with what create sns calls the same.
type snsEntry struct {
	Name         string            `yaml:"name"`
	DisplayName  string            `yaml:"display-name"`
	ContentDedup bool              `yaml:"content-dedup"`
	Attributes   map[string]string `yaml:"attributes"`
	Tags         map[string]string `yaml:"tags"`
}

// UnmarshalYAML takes the name alone, and the long form.
func (t *snsEntry) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&t.Name) == nil {
		return nil
	}
	type long snsEntry
	return unmarshal((*long)(t))
}

func (t *snsEntry) flags() snsFlags {
	return snsFlags{contentDedup: t.ContentDedup, displayName: t.DisplayName, attributes: t.Attributes, tags: t.Tags}
}

// bindEntry is what leads from one thing to another, in the words of bind.
type bindEntry struct {
	From            string         `yaml:"from"`
	To              string         `yaml:"to"`
	Key             *string        `yaml:"key"`
	Args            map[string]any `yaml:"args"`
	FromStart       bool           `yaml:"from-start"`
	Raw             bool           `yaml:"raw"`
	Filter          any            `yaml:"filter"` // a text in JSON, or the policy itself
	FilterScope     string         `yaml:"filter-scope"`
	DeadLetterQueue string         `yaml:"dead-letter-queue"`
}

func (e *bindEntry) String() string { return "bind " + e.From + " " + e.To }

// bond reads what is to lead where; isSNS says whether a plain name is that of a topic of SNS.
func (e *bindEntry) bond(isSNS func(name string) bool) (bond, error) {
	f := bindFlags{fromAll: e.FromStart, sub: subscribeFlags{raw: e.Raw, deadQueue: e.DeadLetterQueue}}
	if f.keyed = e.Key != nil; f.keyed {
		f.key = *e.Key
	}
	for _, name := range slices.Sorted(maps.Keys(e.Args)) {
		f.args = append(f.args, fmt.Sprintf("%s=%v", name, e.Args[name]))
	}
	if err := (&choice{&f.sub.scope, filterScopes}).Set(e.FilterScope); e.FilterScope != "" && err != nil {
		return bond{}, usage("filter-scope " + err.Error())
	}
	var err error
	if f.sub.filter, err = filterText(e.Filter); err != nil {
		return bond{}, err
	}
	from := e.From
	switch kind, _ := splitKind(from); {
	case from == "" || e.To == "":
		return bond{}, usage("from and to are needed")
	case kind == "" && isSNS(from):
		from = "sns/" + from
	}
	return f.bond(from, e.To)
}

// filterText is a filter policy as JSON.
func filterText(policy any) (string, error) {
	switch p := policy.(type) {
	case nil:
		return "", nil
	case string:
		return p, nil
	}
	text, err := json.Marshal(policy)
	if err != nil {
		return "", usage("filter: this cannot be written as JSON")
	}
	return string(text), nil
}

// check asks the room itself, which does not listen for that.
func (a *awsSettings) check() error {
	if err := (aws.Config{Account: a.Account, Region: a.Region}).Check(); err != nil {
		return usage(err.Error())
	}
	if _, err := aws.NewTopics(aws.TopicsConfig{URL: a.URL}); err != nil {
		return usage(err.Error())
	}
	return nil
}

// wrongEntry finds what cannot be right among the queues and topics of AWS, and the bonds.
func (s *settings) wrongEntry() (key string, err error) {
	seen := map[string]bool{}
	for i := range s.AWS.Queues {
		q := &s.AWS.Queues[i]
		_, err := q.flags().plain(q.Name)
		if err := s.AWS.checkEntry("queue", q.Name, seen, err); err != nil {
			return fmt.Sprintf("aws.queues[%d]", i), err
		}
	}
	clear(seen)
	for i := range s.AWS.Topics {
		if err := s.AWS.checkEntry(kindTitle("sns"), s.AWS.Topics[i].Name, seen, nil); err != nil {
			return fmt.Sprintf("aws.topics[%d]", i), err
		}
	}
	for i := range s.Bind {
		e := &s.Bind[i]
		b, err := e.bond(func(name string) bool { return seen[name] })
		if err == nil && s.AWS.Listen == off && (b.subscribe != nil || b.sns != "") {
			err = usage("aws.listen is off, and without it there is no SNS")
		}
		if err != nil {
			return fmt.Sprintf("bind[%d]", i), inEntry(e.String(), err)
		}
	}
	return "", nil
}

// checkEntry checks the name of a queue or topic; what is wrong with the rest is known.
func (a *awsSettings) checkEntry(kind, name string, seen map[string]bool, wrong error) error {
	switch {
	case name == "":
		wrong = usage("a name is missing")
	case a.Listen == off:
		wrong = usage("aws.listen is off")
	case seen[name]:
		wrong = usage("it is named twice")
	}
	seen[name] = true
	return inEntry(strings.TrimSpace(kind+" "+name), wrong)
}

// inEntry says which entry of the configuration file a failure is about. Its words are not those of flags.
func inEntry(entry string, err error) error {
	if err == nil {
		return nil
	}
	f := *asFailure(noContext, err)
	f.msg = entry + ": " + strings.ReplaceAll(f.msg, "--", "")
	return &f
}
