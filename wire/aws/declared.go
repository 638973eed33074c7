package aws

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// declared is what SQS knows of a queue. It stands in the arguments of the queue, as one named sqs.
type declared struct {
	created, modified int64             // seconds
	attributes        map[string]string // that were set, each in its canonical form
	tags              map[string]string
}

const argument = "sqs"

// isOurs says whether a queue was made by SQS.
func isOurs(q *broker.Queue) bool {
	v, _ := q.Spec().Args.Get(argument)
	_, ok := v.(broker.Args)
	return ok
}

func declaredOf(q *broker.Queue) declared {
	v, _ := q.Spec().Args.Get(argument)
	args, _ := v.(broker.Args)
	d := declared{attributes: textsOf(args, "attributes"), tags: textsOf(args, "tags")}
	d.created, _, _ = args.Int("created")
	d.modified, _, _ = args.Int("modified")
	return d
}

// textOf is the value of an attribute of a queue that has it. Each message asks for some, so no declared is made
// for it.
func textOf(q *broker.Queue, name string) string {
	args := q.Spec().Args
	for _, part := range []string{argument, "attributes"} {
		v, _ := args.Get(part)
		args, _ = v.(broker.Args)
	}
	text, ok, _ := args.Text(name)
	if !ok {
		text = attributes[name].def
	}
	return text
}

// numberOf is that of one that is a number.
func numberOf(q *broker.Queue, name string) int {
	n, _ := strconv.Atoi(textOf(q, name))
	return n
}

func secondsOf(q *broker.Queue, name string) time.Duration {
	return time.Duration(numberOf(q, name)) * time.Second
}

func textsOf(args broker.Args, name string) map[string]string {
	out := map[string]string{}
	v, _ := args.Get(name)
	texts, _ := v.(broker.Args)
	for _, a := range texts {
		out[a.Name], _ = a.Value.(string)
	}
	return out
}

func (d *declared) args() broker.Args {
	return broker.Args{{Name: argument, Value: broker.Args{
		{Name: "created", Value: d.created},
		{Name: "modified", Value: d.modified},
		{Name: "attributes", Value: argsOf(d.attributes)},
		{Name: "tags", Value: argsOf(d.tags)},
	}}}
}

func argsOf(texts map[string]string) broker.Args {
	out := broker.Args{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		out = append(out, broker.Arg{Name: name, Value: texts[name]})
	}
	return out
}

// attribute is the value of one that can be set; "": it is not set and has no default.
func (d *declared) attribute(name string) string {
	v, set := d.attributes[name]
	a := attributes[name]
	switch {
	case set:
		return v
	case a.refused != "" && !d.fifo():
		return ""
	}
	return a.def
}

// number is the value of an attribute that is a number.
func (d *declared) number(name string) int {
	n, _ := strconv.Atoi(d.attribute(name))
	return n
}

func (d *declared) seconds(name string) time.Duration {
	return time.Duration(d.number(name)) * time.Second
}

// settingsOf are what the engine has to know of attributes.
func settingsOf(set map[string]string) broker.QueueSettings {
	d := declared{attributes: set}
	out := broker.QueueSettings{Delay: d.seconds(attrDelay), Retention: d.seconds(attrRetention),
		Groups: broker.FairGroups}
	if r, err := parseRedrive(set[attrRedrive]); err == nil {
		to, _ := queueInARN(r.target) // it was checked; the region may be another one since
		out.DeadLetters, out.DeadLetterKey, out.MaxReceives = true, &to, &r.receives
	}
	if d.fifo() {
		out.Once, out.Groups = dedupTime, broker.OrderedGroups
	}
	return out
}

// change edits what SQS knows of a queue, durably on return.
func (s *Server) change(c *call, queueURL string, edit func(q *broker.Queue, d *declared) error) error {
	confirm, err := s.edit(c, queueURL, edit)
	if err != nil {
		return err
	}
	return confirm.Wait(context.WithoutCancel(c.ctx))
}

func (s *Server) edit(c *call, queueURL string, edit func(q *broker.Queue, d *declared) error) (
	confirm broker.Confirm, err error) {
	q, err := s.queue(c, queueURL)
	if err != nil {
		return confirm, err
	}
	s.changes.Lock()
	defer s.changes.Unlock()
	d := declaredOf(q)
	if err := edit(q, &d); err != nil {
		return confirm, err
	}
	return s.b.ChangeQueue(q, d.args(), settingsOf(d.attributes))
}
