package aws

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// redrive is what a RedrivePolicy says.
type redrive struct {
	target   string // ARN
	receives int64
}

// canonicalRedrive shows the count as a number, as SQS does.
func canonicalRedrive(value string) string {
	r, err := parseRedrive(value)
	if err != nil {
		return value
	}
	return text(struct {
		Target   string `json:"deadLetterTargetArn"`
		Receives int64  `json:"maxReceiveCount"`
	}{r.target, r.receives})
}

// maxReceives is the greatest maxReceiveCount.
const maxReceives = 1000

// parseRedrive reads a RedrivePolicy; the count may be a number or a string, as clients send either.
func parseRedrive(text string) (r redrive, err *Error) {
	const count, target = "maxReceiveCount", "deadLetterTargetArn"
	bad := func(reason string, args ...any) (redrive, *Error) {
		return redrive{}, wrong(short(text), attrRedrive, fmt.Sprintf(reason, args...))
	}
	var doc map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &doc) != nil || doc == nil {
		return r, wrongBecause(attrRedrive, "Redrive policy is not a valid JSON map.")
	}
	for _, name := range []string{count, target} {
		if doc[name] == nil {
			return bad("Redrive policy does not contain mandatory attribute: %s.", name)
		}
	}
	if len(doc) > 2 {
		return bad("Only following attributes are supported: [%s, %s].", count, target)
	}
	number := strings.Trim(string(doc[count]), `"`)
	n, notWhole := strconv.ParseInt(number, 10, 64)
	if notWhole != nil || n < 1 || n > maxReceives {
		return bad("Invalid value for %s: %s, valid values are from 1 to %d both inclusive.", count,
			short(number), maxReceives)
	}
	r.receives = n
	_ = json.Unmarshal(doc[target], &r.target) // what is no text is no ARN
	switch {
	case !isARN(r.target):
		return bad("Dead-letter target ARN should be fully qualified ARN.")
	case strings.Split(r.target, ":")[2] != "sqs":
		return bad("Only SQS queues are valid resources for %s.", target)
	}
	return r, nil
}

// checkRedrive wants a queue for the dead letters that is there, and takes them.
func checkRedrive(s *Server, queue, value string) error {
	r, bad := parseRedrive(value)
	if bad != nil {
		return bad
	}
	name := s.nameInARN(r.target)
	to, missing := s.queueNamed(name)
	if name == "" || missing != nil {
		return wrong(short(value), attrRedrive, "Dead letter target does not exist.")
	}
	if isFIFO(name) != isFIFO(queue) {
		return wrong(short(value), attrRedrive, "Dead-letter queue must be same type of queue as the source.")
	}
	d := declaredOf(to)
	if allow, err := parseAllow(d.attribute(attrAllow)); err == nil && !allow.admits(s.arn(queue)) {
		return wrong(short(value), attrRedrive, "Dead letter target does not allow this source queue.")
	}
	return nil
}

// redriveAllow is what a RedriveAllowPolicy says.
type redriveAllow struct {
	Permission string   `json:"redrivePermission"`
	Sources    []string `json:"sourceQueueArns"`
}

func parseAllow(text string) (a redriveAllow, err *Error) {
	const cannot = "Amazon SQS can't create the redrive allow policy"
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	switch bad := d.Decode(&a); {
	case bad != nil || d.More() || !slices.Contains([]string{allowAll, denyAll, byQueue}, a.Permission):
		return a, wrongBecause(attrAllow, cannot+", as it’s in an unsupported format.")
	case a.Sources != nil && a.Permission != byQueue:
		return a, wrong(short(text), attrAllow, cannot+". To specify one or more source queue ARNs, you must set "+
			"redrivePermission to byQueue.")
	}
	switch n := len(a.Sources); {
	case a.Permission == byQueue && n == 0:
		return a, wrong(short(text), attrAllow, cannot+". When you specify the byQueue permission type, you must "+
			"also specify one or more sourceQueueArns values.")
	case n > maxSources:
		return a, wrong(short(text), attrAllow, fmt.Sprintf("%s. The maximum number of source queue ARNs you can "+
			"specify is %d.", cannot, maxSources))
	}
	return a, nil
}

// The permissions of a RedriveAllowPolicy, and how many queues one can name.
const (
	allowAll   = "allowAll"
	denyAll    = "denyAll"
	byQueue    = "byQueue"
	maxSources = 10
)

func (a *redriveAllow) admits(source string) bool {
	return a.Permission == allowAll || a.Permission == byQueue && slices.Contains(a.Sources, source)
}

func checkAllow(_ *Server, _, value string) error {
	if _, err := parseAllow(value); err != nil {
		return err
	}
	return nil
}
