package broker

import (
	"context"
	"testing"
)

func TestAChangedQueueIsWhatItWasChangedToAlsoAfterACrash(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true, Args: Args{{"a", "1"}}})
	length := int64(1)
	args, settings := Args{{"a", "2"}, {"b", "3"}}, QueueSettings{MaxLength: &length}
	p.publish("1", "2", "3")
	confirm, err := p.b.ChangeQueue(p.q, args, settings)
	if err == nil {
		err = confirm.Wait(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"at once", "after a restart"} {
		if s := p.q.Spec(); !equalArgs(s.Args, args) || orZero(s.Settings.MaxLength) != 1 {
			t.Errorf("%s the queue is %+v", when, s)
		}
		if s := p.q.Settings(); orZero(s.MaxLength) != 1 {
			t.Errorf("%s these are in force: %+v", when, s)
		}
		if s := p.q.Stats(); s.Ready != 1 {
			t.Errorf("%s %d records are ready", when, s.Ready)
		}
		p.restart()
		p.declare(QueueSpec{Durable: true})
	}
}

func TestAChangeOfAQueueIsRefused(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{MaxPriority: 3}})
	negative := int64(-1)
	for what, s := range map[string]QueueSettings{
		"other priorities": {MaxPriority: 4},
		"single active":    {MaxPriority: 3, SingleActive: true},
		"negative length":  {MaxPriority: 3, MaxLength: &negative},
	} {
		_, err := p.b.ChangeQueue(p.q, nil, s)
		wantKind(t, what, err, Invalid)
	}
	if _, err := p.b.DeleteQueue(context.Background(), p.q, DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := p.b.ChangeQueue(p.q, nil, QueueSettings{MaxPriority: 3})
	wantKind(t, "deleted", err, NotFound)
}
