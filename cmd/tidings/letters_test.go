package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/embedded"
)

// What a service could not handle is shown with the reason, and comes back to its group alone.
func TestDlqKnowsTheDeadLettersOfTheLibrary(t *testing.T) {
	n := startTestNode(t, devDefaults())
	transport := embedded.New(n.b, embedded.Config{})
	placed := tidings.Define("orders", "placed", tidings.KeyBy(func(order string) string { return order }))
	refund := tidings.DefineCommand[string]("payment", "refund")
	var mended atomic.Bool
	handled, dead := make(chan string, 2), make(chan struct{}, 2)
	handle := func(_ context.Context, m tidings.Msg[string]) error {
		if !mended.Load() {
			return tidings.Permanent(errors.New("no such card"))
		}
		handled <- m.Topic + " " + m.Data
		return nil
	}
	s := tidings.NewService("payment", transport, tidings.WithLogger(discardLog), tidings.WithObserver(tidings.Observer{
		DeadLettered: func(tidings.DeadLettered) { dead <- struct{}{} },
	})).Subscribe(tidings.Policy{}, tidings.On(placed, handle), tidings.Handle(refund, handle))
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, transport.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	<-s.Ready()
	if err := s.Publish(ctx, placed.New("o-1"), refund.New("o-2")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		<-dead
	}

	if got, want := mustCommand(t, n, "dlq", "ls"), "payment.dlq\t2\t"; !strings.HasPrefix(got, want) ||
		!strings.HasSuffix(got, "\tfailed=2\tpayment\n") {
		t.Errorf("got %q, want %s…, failed=2 from payment", got, want)
	}
	got := mustCommand(t, n, "dlq", "show", "payment.dlq", "-o", "table")
	for _, want := range []string{", published to orders/o-1: no such card\n",
		", published to amq.default/payment: no such card\n"} {
		if !strings.Contains(got, "failed in payment, at ") || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	mended.Store(true)
	mustCommand(t, n, "dlq", "redrive", "payment.dlq")
	back := map[string]bool{<-handled: true, <-handled: true}
	if !back["orders o-1"] || !back["payment o-2"] {
		t.Errorf("got %v, want both as what they were", back)
	}
	if got := mustCommand(t, n, "dlq", "ls"); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

// Over SNS and SQS an event is a document: what the library says of a dead letter is in it.
func TestDlqKnowsDeadLettersThatAreDocuments(t *testing.T) {
	n := startTestNode(t, devDefaults())
	for _, name := range []string{"shop_mail", "shop_mail_dlq", "shop_mail.fifo", "shop_mail_dlq.fifo"} {
		mustCommand(t, n, "create", "sqs", name)
	}
	letter := `{"specversion":"1.0","id":"1","source":"shop","type":"placed","partitionkey":"o-1","dlqgroup":"shop.mail",` +
		`"dlqreason":"no such street","dlqattempts":"3","dlqat":"2026-11-26T09:00:00Z","dlqtopic":"orders","data":1}`
	structured := []string{"--header", "content-type=application/cloudevents+json; charset=utf-8"}
	mustCommand(t, n, append(structured, "pub", "shop_mail_dlq", letter)...)
	mustCommand(t, n, append(structured, "pub", "shop_mail_dlq.fifo", letter, "--group", "k", "--dedup-id", "1")...)

	if got := mustCommand(t, n, "dlq", "ls"); strings.Count(got, "\tfailed=1\tshop.mail\n") != 2 {
		t.Errorf("got %q, want failed=1 from shop.mail in two queues", got)
	}
	got := mustCommand(t, n, "dlq", "show", "shop_mail_dlq", "-o", "table")
	want := "failed in shop.mail, 3 times, at "
	if !strings.Contains(got, want) || !strings.Contains(got, ", published to orders/o-1: no such street\n") {
		t.Errorf("got %q, want %s…", got, want)
	}
	for queue, group := range map[string]string{"shop_mail_dlq": "shop_mail", "shop_mail_dlq.fifo": "shop_mail.fifo"} {
		mustCommand(t, n, "dlq", "redrive", queue)
		if got := mustCommand(t, n, "sub", group, "-q"); got != letter+"\n" {
			t.Errorf("%s: got %q, want the letter", group, got)
		}
	}
}

// The library writes them by every protocol.
func TestDlqKnowsDeadLettersThatCameByAProtocol(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "queue", "payment.dlq")
	mustCommand(t, n, "create", "queue", "payment")
	mustCommand(t, n, "pub", "queue/payment.dlq", "by AMQP", "--header", "cloudEvents:dlqgroup=payment")
	mustCommand(t, n, "create", "sqs", "shop_mail_dlq.fifo")
	mustCommand(t, n, "create", "sqs", "shop_mail.fifo")
	mustCommand(t, n, "pub", "shop_mail_dlq.fifo", "by SQS", "--header", "ce_dlqgroup=shop.mail", "--group", "k", "--dedup-id", "1")
	mustCommand(t, n, "create", "sqs", "gone_dlq")
	mustCommand(t, n, "pub", "gone_dlq", "nowhere", "--header", "ce_dlqgroup=gone")
	for queue, group := range map[string]string{"payment.dlq": "payment", "shop_mail_dlq.fifo": "shop_mail.fifo"} {
		mustCommand(t, n, "dlq", "redrive", queue)
		if got := mustCommand(t, n, "sub", group, "-q"); !strings.HasPrefix(got, "by ") {
			t.Errorf("%s: got %q, want the record", group, got)
		}
	}
	exit, said := command(t, t.Context(), n, io.Discard, "dlq", "redrive", "gone_dlq")
	if exit != exitConflict || !strings.Contains(said, `group "gone" has no queue of that name: say with --to`) {
		t.Errorf("got %d and %q, want a conflict", exit, said)
	}
}

// Who looks for a queue of the name that the log of a service has is told where its letters are.
func TestDlqTellsWhereDeadLettersAreInstead(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "pub", "payment.dlq.direct", "letter")
	_, said := command(t, t.Context(), n, io.Discard, "dlq", "ls")
	if !strings.Contains(said, "tidings sub payment.dlq.direct --from start") {
		t.Errorf("got %q, want the topic", said)
	}
	mustCommand(t, n, "create", "sqs", "mail_dlq")
	mustCommand(t, n, "create", "sqs", "bank_dlq.fifo")
	for name, want := range map[string]string{
		"payment.dlq":        "over Kafka:   topic payment.dlq.direct, which",
		"payment.dlq.direct": "over Kafka:   topic payment.dlq.direct, which",
		"mail.dlq":           "over AWS:     queue mail_dlq\n",
		"bank.dlq":           "over AWS:     queue bank_dlq.fifo\n",
		"other.dlq":          "see all:      tidings ls queues",
	} {
		for _, verb := range []string{"show", "redrive"} {
			exit, said := command(t, t.Context(), n, io.Discard, "dlq", verb, name)
			if exit != exitNotFound || !strings.Contains(said, want) {
				t.Errorf("dlq %s %s: got %d and %q, want not found and %q", verb, name, exit, said, want)
			}
		}
	}
}
