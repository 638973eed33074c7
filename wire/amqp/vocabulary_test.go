package amqp

import (
	"reflect"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

func TestVocabularyTellsWhatArgumentsMean(t *testing.T) {
	args := broker.Args{{Name: "x-message-ttl", Value: int64(60000)}, {Name: "x-max-priority", Value: int64(3)}}
	got := broker.QueueSpec{Name: "q", Args: append(args, broker.Arg{Name: "x-queue-type", Value: "quorum"})}
	err := Vocabulary{}.Queue(&got)
	minute, want := time.Minute, got
	want.Type, want.Settings = broker.QuorumQueue, broker.QueueSettings{TTL: &minute, MaxPriority: 3}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for value, kind := range map[any]broker.ErrorKind{
		"soon": broker.Invalid, int64(-1): broker.Invalid,
	} {
		err := Vocabulary{}.Queue(&broker.QueueSpec{Args: broker.Args{{Name: "x-message-ttl", Value: value}}})
		if broker.KindOf(err) != kind {
			t.Errorf("ttl %v: got %v, want kind %v", value, err, kind)
		}
	}
}

func TestVocabularyMakesNoQueueOfAStream(t *testing.T) {
	err := Vocabulary{}.Queue(&broker.QueueSpec{Args: broker.Args{{Name: "x-queue-type", Value: "stream"}}})
	if broker.KindOf(err) != broker.Unsupported {
		t.Errorf("got %v, want kind unsupported", err)
	}
}

func TestVocabularyDescribesRecordsAsAPublisherWould(t *testing.T) {
	properties := broker.Args{
		{Name: "headers", Value: broker.Args{{Name: "source", Value: "shop"}, {Name: "CC", Value: []any{"k2"}}}},
		{Name: "delivery_mode", Value: int64(2)}, {Name: "priority", Value: int64(7)},
		{Name: "expiration", Value: "60000"}, {Name: "message_id", Value: "m1"},
	}
	var rec broker.QueueRecord
	if err := (Vocabulary{}).Describe(&rec, properties); err != nil {
		t.Fatal(err)
	}
	if rec.Transient || rec.Priority != 7 || rec.Expires.Sub(rec.Time) != time.Minute ||
		!reflect.DeepEqual(rec.CC, []string{"k2"}) || rec.Format != broker.PropsAMQP {
		t.Errorf("got %+v", rec)
	}
	got := Props{}.Properties(rec.Props)
	if id, _, _ := got.Text("message_id"); id != "m1" || len(got) != len(properties) {
		t.Errorf("got properties %v, want %v", got, properties)
	}
	for name, wrong := range map[string]any{"priority": "high", "expiration": "soon", "reply_to": directReplyTo} {
		err := Vocabulary{}.Describe(&rec, broker.Args{{Name: name, Value: wrong}})
		if broker.KindOf(err) != broker.Invalid {
			t.Errorf("%s %v: got %v, want kind invalid", name, wrong, err)
		}
	}
}

// What is made in a virtual host whose queues have another type can be declared again by a client.
func TestVocabularyGivesQueuesTheDefaultType(t *testing.T) {
	r := serve(t)
	if _, err := r.broker.PutNamespace(t.Context(), broker.Namespace{DefaultQueueType: "quorum"}); err != nil {
		t.Fatal(err)
	}
	spec := broker.QueueSpec{Name: "q", Durable: true}
	if err := (Vocabulary{Broker: r.broker}).Queue(&spec); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.broker.DeclareQueue(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	r.dial().queue(queueDeclare{queue: "q", durable: true})
	brief := broker.QueueSpec{Name: "brief"}
	if err := (Vocabulary{Broker: r.broker}).Queue(&brief); err != nil || len(brief.Args) > 0 {
		t.Errorf("a transient queue has %v, %v", brief.Args, err)
	}
}
