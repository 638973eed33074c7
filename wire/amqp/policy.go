package amqp

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// policyKey is one setting that a definition may have.
type policyKey struct {
	wrong    string // what RabbitMQ calls a value that does not fit
	operator bool   // it may stand in an operator policy
	notFor   broker.Targets
	read     func(p *broker.Policy, v any) bool // false: the value does not fit
}

const (
	onlyQuorum = broker.ClassicQueues | broker.StreamQueues
	onlyStream = broker.ClassicQueues | broker.QuorumQueues
	noStream   = broker.StreamQueues
	noQuorum   = broker.QuorumQueues | broker.StreamQueues
)

// policyKeys are the settings of RabbitMQ 4.0. Those that only check a value are kept without effect, as
// the arguments of the same names are.
var policyKeys = map[string]policyKey{
	"message-ttl": {"message TTL", true, noStream, func(p *broker.Policy, v any) bool {
		ms, ok := within(v, 0, maxMillis)
		ttl := time.Duration(ms) * time.Millisecond
		p.Queue.TTL = &ttl
		return ok
	}},
	"expires": {"queue expiry", true, noStream, func(p *broker.Policy, v any) bool {
		ms, ok := within(v, 1, maxMillis)
		p.Queue.Expires = time.Duration(ms) * time.Millisecond
		return ok
	}},
	"max-length": {"maximum length", true, noStream, func(p *broker.Policy, v any) (ok bool) {
		p.Queue.MaxLength, ok = bound(v, 0)
		return ok
	}},
	"max-length-bytes": {"maximum length in bytes", true, 0, func(p *broker.Policy, v any) (ok bool) {
		p.Queue.MaxLengthBytes, ok = bound(v, 0)
		return ok
	}},
	"overflow": {"overflow value", true, noStream, func(p *broker.Policy, v any) bool {
		for i, name := range overflows {
			if v == any(name) {
				p.Queue.Overflow, p.Queue.OverflowSet = broker.Overflow(i), true
				return true
			}
		}
		return false
	}},
	"delivery-limit": {"delivery limit", true, onlyQuorum, func(p *broker.Policy, v any) (ok bool) {
		p.Queue.DeliveryLimit, ok = bound(v, math.MinInt64)
		return ok
	}},
	"dead-letter-exchange": {"dead letter exchange name", false, noStream,
		func(p *broker.Policy, v any) (ok bool) {
			p.Queue.DeadLetterTo, ok = v.(string)
			p.Queue.DeadLetters = ok
			return ok
		}},
	"dead-letter-routing-key": {"dead letter routing key", false, noStream,
		func(p *broker.Policy, v any) bool {
			key, ok := v.(string)
			p.Queue.DeadLetterKey = &key
			return ok
		}},
	"alternate-exchange": {"alternate exchange name", false, 0, func(p *broker.Policy, v any) (ok bool) {
		p.Alternate, ok = v.(string)
		return ok
	}},

	"consumer-timeout":         {"consumer timeout", false, 0, atLeast(0)},
	"dead-letter-strategy":     {"dead letter strategy", false, onlyQuorum, isStrategy},
	"max-in-memory-length":     {"maximum memory in bytes", true, onlyQuorum, atLeast(0)},
	"max-in-memory-bytes":      {"maximum memory in bytes", true, onlyQuorum, atLeast(0)},
	"target-group-size":        {"target group size", true, onlyQuorum, atLeast(1)},
	"queue-mode":               {"queue-mode value", false, noQuorum, oneOf("default", "lazy")},
	"queue-version":            {"queue-version value", true, 0, between(1, 2)},
	"queue-master-locator":     {"queue master locator", true, noQuorum, anyText},
	"queue-leader-locator":     {"queue leader locator value", false, 0, isLocator},
	"max-age":                  {"max age", false, onlyStream, isAge},
	"initial-cluster-size":     {"cluster size", false, onlyStream, atLeast(0)},
	"stream-filter-size-bytes": {"filter size. Valid range is 16-255", false, 0, between(16, 255)},

	"stream-max-segment-size-bytes": {"segment size", false, onlyStream, between(0, 3_000_000_000)},
}

var (
	isStrategy = oneOf("at-most-once", "at-least-once")
	isLocator  = oneOf("client-local", "balanced", "random", "least-leaders")
)

// within reads an integer with bounds. Those of JSON are int64.
func within(v any, least, most int64) (int64, bool) {
	n, ok := v.(int64)
	return n, ok && least <= n && n <= most
}

func bound(v any, least int64) (*int64, bool) {
	n, ok := within(v, least, 1<<53)
	return &n, ok
}

func atLeast(least int64) func(*broker.Policy, any) bool { return between(least, math.MaxInt64) }

func between(least, most int64) func(*broker.Policy, any) bool {
	return func(_ *broker.Policy, v any) bool {
		_, ok := within(v, least, most)
		return ok
	}
}

func oneOf(values ...string) func(*broker.Policy, any) bool {
	return func(_ *broker.Policy, v any) bool {
		for _, x := range values {
			if v == any(x) {
				return true
			}
		}
		return false
	}
}

func anyText(_ *broker.Policy, v any) bool {
	_, ok := v.(string)
	return ok
}

// isAge takes a number and a unit: 7D.
func isAge(_ *broker.Policy, v any) bool {
	s, _ := v.(string)
	if s == "" || !strings.Contains("YMDhms", s[len(s)-1:]) {
		return false
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	return err == nil && n > 0
}

// targets are the values of apply-to.
var targets = map[string]broker.Targets{
	"all": broker.Everything, "exchanges": broker.Exchanges, "queues": broker.AllQueues,
	"classic_queues": broker.ClassicQueues, "quorum_queues": broker.QuorumQueues,
	"streams": broker.StreamQueues,
}

// ApplyTo reads what a policy is for: "all" or "queues". The error is of type *Error, in RabbitMQ's
// words.
func ApplyTo(name string) (broker.Targets, error) {
	if t, ok := targets[name]; ok {
		return t, nil
	}
	return 0, notValid("apply-to '%s' unrecognised; should be one of: 'queues', 'classic_queues', "+
		" 'quorum_queues', 'streams', 'exchanges', or 'all'", name)
}

// AppliesTo is the inverse of ApplyTo.
func AppliesTo(t broker.Targets) string {
	for name, x := range targets {
		if x == t {
			return name
		}
	}
	return ""
}

// ReadPolicy fills in what the definition of a policy means. The error is of type *Error, in RabbitMQ's
// words: a setting that it does not know, or a value that does not fit.
func ReadPolicy(p *broker.Policy) error {
	if len(p.Definition) == 0 {
		return notValid("no policy provided")
	}
	var unknown []string
	p.Queue, p.Alternate, p.NotFor = broker.QueueSettings{}, "", 0
	for _, arg := range p.Definition {
		key, ok := policyKeys[arg.Name]
		switch {
		case !ok || p.Operator && !key.operator:
			unknown = append(unknown, fmt.Sprintf("{%s,%s}", term(arg.Name), term(arg.Value)))
		case !key.read(p, arg.Value):
			return notValid("%s is not a valid %s", term(arg.Value), key.wrong)
		}
		p.NotFor |= key.notFor
	}
	if len(unknown) > 0 {
		return notValid("[%s] are not recognised policy settings", strings.Join(unknown, ",\n "))
	}
	return nil
}

func notValid(format string, args ...any) error {
	return errorf(replyPreconditionFailed, "Validation failed\n\n"+format+"\n", args...)
}

// term writes a value as RabbitMQ's errors show it.
func term(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("<<%q>>", v)
	case nil:
		return "null"
	case []any:
		all := make([]string, len(v))
		for i := range v {
			all[i] = term(v[i])
		}
		return "[" + strings.Join(all, ",") + "]"
	case broker.Args:
		all := make([]string, len(v))
		for i := range v {
			all[i] = term(v[i].Name) + " => " + term(v[i].Value)
		}
		return "#{" + strings.Join(all, ",") + "}"
	}
	return fmt.Sprint(v)
}
