package amqp

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// TestPolicyMeansWhatTheArgumentsMean: a definition says the same as arguments of these names.
func TestPolicyMeansWhatTheArgumentsMean(t *testing.T) {
	def := broker.Args{{Name: "message-ttl", Value: int64(5)}, {Name: "expires", Value: int64(6)},
		{Name: "max-length", Value: int64(7)}, {Name: "max-length-bytes", Value: int64(8)},
		{Name: "overflow", Value: "reject-publish"},
		{Name: "dead-letter-exchange", Value: "x"}, {Name: "dead-letter-routing-key", Value: "k"},
		{Name: "delivery-limit", Value: int64(-1)}}
	p := broker.Policy{Definition: def}
	if err := ReadPolicy(&p); err != nil {
		t.Fatal(err)
	}
	args := slices.Clone(def)
	for i := range args {
		args[i].Name = "x-" + args[i].Name
	}
	want, err := settingsOf(broker.Name{}, args)
	if err != nil || !reflect.DeepEqual(p.Queue, want) {
		t.Errorf("got %+v, want %+v, %v", p.Queue, want, err)
	}
	if p.Queue.TTL == nil || *p.Queue.TTL != 5*time.Millisecond {
		t.Errorf("got %v", p.Queue.TTL)
	}
	if p.NotFor != onlyQuorum|noStream {
		t.Errorf("got not for %b", p.NotFor)
	}
}

func TestTargetsHaveTheirNames(t *testing.T) {
	for name, want := range targets {
		if got, err := ApplyTo(name); got != want || err != nil || AppliesTo(got) != name {
			t.Errorf("%s: got %v, %v, %s", name, got, err, AppliesTo(got))
		}
	}
}

// TestPolicyKeysCheckTheirValues: none takes what has another type.
func TestPolicyKeysCheckTheirValues(t *testing.T) {
	for name, key := range policyKeys {
		for _, v := range []any{nil, true, broker.Args{}, []any{}, 1.5} {
			if key.read(new(broker.Policy), v) {
				t.Errorf("%s takes %v", name, v)
			}
		}
	}
	for name, v := range map[string]any{"max-age": "7D", "queue-version": int64(2), "consumer-timeout": int64(0),
		"dead-letter-strategy": "at-least-once", "queue-mode": "lazy"} {
		if !policyKeys[name].read(new(broker.Policy), v) {
			t.Errorf("%s does not take %v", name, v)
		}
	}
}
