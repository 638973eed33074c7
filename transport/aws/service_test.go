package aws

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/tidings-io/tidings"
)

type order struct{ ID string }

var (
	placedType = tidings.Define("shop.orders", "shop.order.placed.v1", tidings.KeyBy(func(o order) string { return o.ID }))
	charge     = tidings.DefineCommand("shop.payment", "shop.payment.charge.v1", tidings.KeyBy(func(o order) string { return o.ID }))
	charged    = tidings.Define[order]("shop.payments", "shop.payment.charged.v1")
)

// A FIFO queue has seen the id of a redriven event, and that of the dead letters has too.
func TestADeadLetterIsRedrivenWithinTheWindowOfDeduplication(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		r := newRig(t)
		tr, _ := r.transport(Config{FIFO: fifo})
		letters := r.subscribe(tr, tidings.DeadLetters("billing")) // is there to see when there is one
		var mended atomic.Bool
		handled := make(chan string, 10)
		svc := tidings.NewService("billing", tr, tidings.WithLogger(slog.New(slog.DiscardHandler)))
		svc.Subscribe(tidings.Policy{Immediate: tidings.NoRetries, Delays: []time.Duration{}},
			tidings.On(placedType, func(_ context.Context, m tidings.Msg[order]) error {
				if !mended.Load() {
					return errors.New("not yet")
				}
				handled <- m.Event.ID
				return nil
			}))
		end := r.run(svc)
		e := placedType.New(order{"o-1"})
		r.check(svc.Publish(bounded(t), e))
		for range 2 { // and fails again
			r.check(letters.next(1)[0].Nack(bounded(t), 0))
			r.redrive(tr)
		}
		letters.next(1)
		r.check(letters.Close(bounded(t))) // which gives it back
		mended.Store(true)
		r.redrive(tr)
		if got := <-handled; got != e.ID {
			t.Errorf("fifo %v: handled %s, want %s", fifo, got, e.ID)
		}
		end()
	}
}

// Whatever moves the message with its attributes redrives it.
func TestADeadLetterThatAnybodyMovesIsRedriven(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	letters := r.subscribe(tr, tidings.DeadLetters("billing"))
	var mended atomic.Bool
	handled := make(chan tidings.Event, 1)
	svc := tidings.NewService("billing", tr, tidings.WithLogger(slog.New(slog.DiscardHandler)))
	svc.Subscribe(tidings.Policy{}, tidings.On(placedType, func(_ context.Context, m tidings.Msg[order]) error {
		if !mended.Load() {
			return tidings.Permanent(errors.New("no such card"))
		}
		handled <- m.Event
		return nil
	}))
	end := r.run(svc)
	e := placedType.New(order{"o-1"})
	r.check(svc.Publish(bounded(t), e))
	r.check(letters.next(1)[0].Nack(bounded(t), 0))
	r.check(letters.Close(bounded(t)))
	mended.Store(true)
	r.move("billing_dlq", "billing")
	got := <-handled
	if got.ID != e.ID || got.Kind != tidings.KindEvent || got.Topic != placedType.Topic() || len(got.Extensions) > 0 {
		t.Errorf("handled %+v, want %+v", got, e)
	}
	end()
}

// move takes one message from a queue to another, as it is.
func (r *rig) move(from, to string) {
	r.Helper()
	c, _ := r.raw()
	url := func(name string) *string {
		out, err := c.GetQueueUrl(bounded(r), &sqs.GetQueueUrlInput{QueueName: &name})
		r.check(err)
		return out.QueueUrl
	}
	got, err := c.ReceiveMessage(bounded(r), &sqs.ReceiveMessageInput{QueueUrl: url(from), WaitTimeSeconds: 5,
		MessageAttributeNames: []string{"All"}})
	r.check(err)
	if len(got.Messages) != 1 {
		r.Fatalf("received %d messages, want 1", len(got.Messages))
	}
	m := got.Messages[0]
	_, err = c.SendMessage(bounded(r), &sqs.SendMessageInput{QueueUrl: url(to), MessageBody: m.Body,
		MessageAttributes: m.MessageAttributes})
	r.check(err)
}

func (r *rig) redrive(t *Transport) {
	r.Helper()
	n, err := tidings.Redrive(bounded(r), t, "billing", tidings.RedriveMax(1))
	if n != 1 || err != nil {
		r.Fatalf("redriven: %d, %v", n, err)
	}
}

func TestARequestIsAnswered(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		r := newRig(t)
		tr, _ := r.transport(Config{FIFO: fifo})
		payment := tidings.NewService("shop.payment", tr)
		payment.Subscribe(tidings.Policy{}, tidings.Replier(charge, charged,
			func(_ context.Context, m tidings.Msg[order]) (order, error) {
				return order{m.Data.ID + " charged"}, nil
			}))
		shop := tidings.NewService("shop", tr)
		endPayment, endShop := r.run(payment), r.run(shop)
		got, err := tidings.Request(bounded(t), shop, charge.New(order{"o-1"}), charged)
		if err != nil || got.ID != "o-1 charged" {
			t.Errorf("fifo %v: got %v, %v", fifo, got, err)
		}
		endShop()
		endPayment()
	}
}

// run runs a service until end is called.
func (r *rig) run(svc *tidings.Service) (end func()) {
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	select {
	case <-svc.Ready():
	case err := <-ended:
		r.Fatal(err)
	}
	return func() {
		r.Helper()
		cancel()
		r.check(<-ended)
	}
}
