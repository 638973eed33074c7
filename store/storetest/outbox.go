package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
)

// OutboxHarness is a store of outboxes with nothing in it, and the user's side of its database.
type OutboxHarness[Tx any] struct {
	// Open opens the outbox, with rows kept for a while after they are published, 0 for not at all.
	// Its events have the source "storetest".
	Open     func(keep time.Duration) outbox.Table[Tx]
	Database Database[Tx]
	// World is how large a world is that loses nothing, its zero value a small one.
	World World
}

// Outbox tests a store. open is called for each test.
func Outbox[Tx any](t *testing.T, open func(t *testing.T) OutboxHarness[Tx]) {
	tests := []struct {
		name string
		test func(*testing.T, OutboxHarness[Tx])
	}{
		{"an event is there if and only if its transaction commits", existsIff[Tx]},
		{"an event comes back as it was", roundTrip[Tx]},
		{"an event that cannot be kept is refused, and the others of its call with it", refuses[Tx]},
		{"the same id twice is one event, and another event an error", sameID[Tx]},
		{"an event with a time waits for it", scheduled[Tx]},
		{"an event with a time is never published before it", neverBefore[Tx]},
		{"an event that fails holds back its own topic and key and nothing else", holdsBack[Tx]},
		{"a thousand rows that are held back hide none that are not", hidesNone[Tx]},
		{"a claim has no event whose predecessor becomes due meanwhile, without that", dueMeanwhile[Tx]},
		{"a parked event is listed, tried again and discarded", parks[Tx]},
		{"published rows are kept for a while, and then pruned", keeps[Tx]},
		{"one relay has the lease, until it is given back or runs out", leases[Tx]},
		{"a commit wakes", wakes[Tx]},
		{"a relay that dies between publishing and marking publishes again", publishesAgain[Tx]},
		{"an outbox loses nothing with many writers holding transactions open at random", losesNothing[Tx]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.test(t, open(t)) })
	}
}

// eventOf is an event of the tests.
func eventOf(id, key string) tidings.Event {
	return tidings.Event{Topic: "orders", ID: id, Type: "placed", Key: key, ContentType: "text/plain",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Payload: []byte(id)}
}

func publish[Tx any](t testing.TB, h OutboxHarness[Tx], table outbox.Table[Tx], events ...tidings.Event) {
	t.Helper()
	err := h.Database.Do(t.Context(), func(tx Tx) error { return table.In(tx).Publish(t.Context(), events...) })
	check(t, "publish", err)
}

// claimed are the ids of up to 1,000 rows.
func claimed[Tx any](t testing.TB, table outbox.Table[Tx]) string {
	t.Helper()
	claim, err := table.Claim(t.Context(), 1000)
	check(t, "claim", err)
	return idsOf(claim.Rows)
}

func idsOf(rows []outbox.Row) string {
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.Event.ID)
	}
	return strings.Join(ids, " ")
}

func seqOf[Tx any](t testing.TB, table outbox.Table[Tx], id string) int64 {
	t.Helper()
	entries, err := table.List(t.Context(), outbox.Waiting, 0, 10_000)
	check(t, "list", err)
	for _, e := range entries {
		if e.Event.ID == id {
			return e.Seq
		}
	}
	t.Fatalf("%s does not wait", id)
	return 0
}

func wantIDs(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("ids\ngot  %q\nwant %q", got, want)
	}
}

func existsIff[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	publish(t, h, table, eventOf("a", "k"), eventOf("b", "k"))
	err := h.Database.Do(t.Context(), func(tx Tx) error {
		check(t, "publish", table.In(tx).Publish(t.Context(), eventOf("never", "k")))
		return errFault
	})
	if !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	publish(t, h, table)
	publish(t, h, table, eventOf("c", ""))
	wantIDs(t, claimed(t, table), "a b c")
	check(t, "done", table.Done(t.Context(), seqOf(t, table, "a"), seqOf(t, table, "c")))
	wantIDs(t, claimed(t, table), "b")
}

func roundTrip[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	full := eventOf("e1", "Schlüssel \"1\"")
	full.Subject, full.Schema, full.ReplyTo = "s <&>", "https://schema", "r"
	full.TraceParent, full.TraceState = "00-1-2-03", "a=b"
	full.Extensions = map[string]string{"tenant": "t\u0000\n"}
	full.Payload = []byte{0, 255, '"', 0}
	object := eventOf("e2", "")
	object.ContentType, object.Payload = "application/json", []byte(`{"n": 10000000000000001, "s": "<"}`)
	command := eventOf("e3", "k")
	command.Kind, command.Topic, command.Payload = tidings.KindCommand, "billing", nil
	cause := eventOf("cause", "")
	cause.Correlation = "conversation"
	ctx := tidings.Handling(t.Context(), "ignored", "g", &cause)
	err := h.Database.Do(ctx, func(tx Tx) error { return table.In(tx).Publish(ctx, full, object, command) })
	check(t, "publish", err)
	claim, err := table.Claim(t.Context(), 10)
	check(t, "claim", err)
	for i, want := range []tidings.Event{full, object, command} {
		want.Source, want.Correlation, want.Causation = "storetest", "conversation", "cause"
		if got := claim.Rows[i]; got.Err != nil || !reflect.DeepEqual(got.Event, want) {
			t.Errorf("%v\ngot  %+v\nwant %+v", got.Err, got.Event, want)
		}
	}
}

func refuses[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	noID, noType, noTopic, nul := eventOf("", "k"), eventOf("a", "k"), eventOf("a", "k"), eventOf("a", "k\x00")
	noType.Type, noTopic.Topic = "", ""
	for _, bad := range []tidings.Event{noID, noType, noTopic, nul, eventOf("a", "\xff"),
		eventOf(strings.Repeat("x", outbox.MaxName+1), "k")} {
		err := h.Database.Do(t.Context(), func(tx Tx) error {
			err := table.In(tx).Publish(t.Context(), eventOf("good", "k"), bad)
			some, ok := errors.AsType[*tidings.PublishError](err)
			if !ok || fmt.Sprint(some.Failed) != "[1]" || !tidings.IsPermanent(err) {
				t.Errorf("%.20q %q: %v", bad.ID, bad.Key, err)
			}
			return nil
		})
		check(t, "commit", err)
	}
	wantIDs(t, claimed(t, table), "")
}

func sameID[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	publish(t, h, table, eventOf("a", "k"), eventOf("b", "k"), eventOf("a", "k"))
	publish(t, h, table, eventOf("b", "other"), eventOf("c", "k"))
	wantIDs(t, claimed(t, table), "a b c")
	foreign := eventOf("a", "k")
	foreign.Source = "another service"
	publish(t, h, table, foreign)
	wantIDs(t, claimed(t, table), "a b c a")
	shipped := eventOf("b", "k")
	shipped.Type = "shipped"
	err := h.Database.Do(t.Context(), func(tx Tx) error {
		err := table.In(tx).Publish(t.Context(), eventOf("a", "k"), eventOf("d", "k"), shipped, eventOf("e", "k"))
		if some, ok := errors.AsType[*tidings.PublishError](err); !ok || len(some.Failed) != 4 || !errors.Is(err, outbox.ErrTaken) {
			t.Errorf("another type with the same id: %v, want ErrTaken", err)
		}
		return nil
	})
	check(t, "commit", err)
	wantIDs(t, claimed(t, table), "a b c a") // none of that call
}

func scheduled[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	at := func(d time.Duration, id string) {
		err := h.Database.Do(t.Context(), func(tx Tx) error {
			return table.In(tx).PublishAt(t.Context(), time.Now().Add(d), eventOf(id, "k"))
		})
		check(t, "publish at", err)
	}
	at(time.Hour, "later")
	at(-time.Hour, "past")
	publish(t, h, table, eventOf("now", "k"))
	wantIDs(t, claimed(t, table), "past now")
	status, err := table.Status(t.Context())
	check(t, "status", err)
	if status.Scheduled != 1 || status.Waiting != 2 || status.Oldest < 59*time.Minute {
		t.Errorf("status %+v", status)
	}
	check(t, "done", table.Done(t.Context(), seqOf(t, table, "past"), seqOf(t, table, "now")))
	claim, err := table.Claim(t.Context(), 10)
	check(t, "claim", err)
	if len(claim.Rows) != 0 || claim.Next < 59*time.Minute || claim.Next > time.Hour+time.Second {
		t.Errorf("%d rows, next in %v", len(claim.Rows), claim.Next)
	}
	at(50*time.Millisecond, "soon")
	eventually(t, "what is due is claimed", func() bool { return claimed(t, table) == "soon" })
}

// neverBefore takes times that lie just before a millisecond ends.
func neverBefore[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	for i := range 10 {
		at := time.Now().Truncate(time.Millisecond).Add(11*time.Millisecond - time.Microsecond)
		err := h.Database.Do(t.Context(), func(tx Tx) error {
			return table.In(tx).PublishAt(t.Context(), at, eventOf(fmt.Sprint(i), ""))
		})
		check(t, "publish at", err)
		var claim outbox.Claim
		for len(claim.Rows) == 0 && time.Since(at) < within { // without pauses, to see it at once
			claim, err = table.Claim(t.Context(), 10)
			check(t, "claim", err)
		}
		if early := time.Until(at); early > 0 {
			t.Errorf("claimed %v before its time", early)
		}
		wantIDs(t, idsOf(claim.Rows), fmt.Sprint(i))
		check(t, "done", table.Done(t.Context(), claim.Rows[0].Seq))
	}
}

func holdsBack[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	other := eventOf("other topic", "k1")
	other.Topic = "payments"
	publish(t, h, table, eventOf("a1", "k1"), eventOf("a2", "k1"), eventOf("b1", "k2"), eventOf("c", ""), eventOf("d", ""), other)
	fail := func(id string, again time.Duration) {
		f := outbox.Failure{Seq: seqOf(t, table, id), Reason: "broker says no\x00", Again: again}
		check(t, "fail", table.Fail(t.Context(), f))
	}
	fail("a1", time.Hour)
	fail("c", time.Hour)
	wantIDs(t, claimed(t, table), "b1 d other topic")
	fail("a1", 0)
	wantIDs(t, claimed(t, table), "a1 a2 b1 d other topic")
	entries, err := table.List(t.Context(), outbox.Waiting, 0, 1)
	check(t, "list", err)
	e := entries[0]
	if e.Attempts != 2 || e.Reason != "broker says no" || e.State != outbox.Waiting || e.Again.IsZero() {
		t.Errorf("entry %+v", e)
	}
	fail("a1", time.Hour)
	check(t, "done", table.Done(t.Context(), seqOf(t, table, "a1")))
	wantIDs(t, claimed(t, table), "a2 b1 d other topic")
}

func hidesNone[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	var held []tidings.Event
	for i := range 1000 {
		held = append(held, eventOf(fmt.Sprint(i), "k1"))
	}
	publish(t, h, table, held...)
	publish(t, h, table, eventOf("free", "k2"))
	f := outbox.Failure{Seq: seqOf(t, table, "0"), Again: time.Hour}
	check(t, "fail", table.Fail(t.Context(), f))
	claim, err := table.Claim(t.Context(), 1)
	check(t, "claim", err)
	wantIDs(t, idsOf(claim.Rows), "free")
}

func dueMeanwhile[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	const keys = 400
	table := h.Open(0)
	var events []tidings.Event
	for _, id := range []string{"first", "second"} {
		for key := range keys {
			events = append(events, eventOf(fmt.Sprint(id, key), fmt.Sprint(key)))
		}
	}
	publish(t, h, table, events...)
	entries, err := table.List(t.Context(), outbox.Waiting, 0, keys)
	check(t, "list", err)
	var failures []outbox.Failure
	for i, e := range entries {
		failures = append(failures, outbox.Failure{Seq: e.Seq, Again: time.Duration(i) * time.Millisecond})
	}
	check(t, "fail", table.Fail(t.Context(), failures...))
	eventually(t, "all are due", func() bool {
		claim, err := table.Claim(t.Context(), 2*keys)
		check(t, "claim", err)
		first := map[string]bool{}
		for _, row := range claim.Rows {
			key, second := strings.CutPrefix(row.Event.ID, "second")
			if second && !first[key] {
				t.Fatalf("a claim of %d rows has the second event of key %s without the first", len(claim.Rows), key)
			}
			first[row.Event.Key] = true
		}
		return len(claim.Rows) == 2*keys
	})
}

func parks[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	publish(t, h, table, eventOf("a", "k"), eventOf("b", "k"), eventOf("c", "k"))
	for _, id := range []string{"a", "b"} {
		f := outbox.Failure{Seq: seqOf(t, table, id), Reason: "too large: " + id, Park: true}
		check(t, "fail", table.Fail(t.Context(), f))
	}
	wantIDs(t, claimed(t, table), "c")
	entries, err := table.List(t.Context(), outbox.Parked, 0, 10)
	check(t, "list", err)
	if len(entries) != 2 || entries[1].Reason != "too large: b" || entries[1].State != outbox.Parked ||
		string(entries[1].Event.Payload) != "b" {
		t.Errorf("parked: %+v", entries)
	}
	n, err := table.Retry(t.Context(), "a", "c", "unknown")
	if n != 1 || err != nil {
		t.Errorf("retried %d: %v", n, err)
	}
	wantIDs(t, claimed(t, table), "a c")
	if n, err = table.Discard(t.Context(), "b", "c"); n != 1 || err != nil {
		t.Errorf("discarded %d: %v", n, err)
	}
	if n, err = table.Retry(t.Context()); n != 0 || err != nil {
		t.Errorf("retried %d: %v", n, err)
	}
	status, err := table.Status(t.Context())
	check(t, "status", err)
	if status.Waiting != 2 || status.Parked != 0 || status.Failing != 0 {
		t.Errorf("status %+v", status)
	}
}

func keeps[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(time.Hour)
	var events []tidings.Event
	var seqs []int64
	for i := range 1100 { // more than a step
		events = append(events, eventOf(fmt.Sprint(i), ""))
	}
	publish(t, h, table, events...)
	entries, err := table.List(t.Context(), outbox.Waiting, 0, 2000)
	check(t, "list", err)
	for _, e := range entries {
		seqs = append(seqs, e.Seq)
	}
	check(t, "done", table.Done(t.Context(), seqs...))
	publish(t, h, table, events[0]) // its id is known for as long as its row is there
	wantIDs(t, claimed(t, table), "")
	f := outbox.Failure{Seq: seqs[0], Reason: "too late"}
	check(t, "fail", table.Fail(t.Context(), f))
	entries, err = table.List(t.Context(), outbox.Published, 0, 2000)
	if err != nil || len(entries) != len(events) || entries[0].Reason != "" {
		t.Fatalf("%d published rows, %v", len(entries), err)
	}
	if more, err := table.Prune(t.Context()); more || err != nil {
		t.Fatalf("more %v, %v", more, err)
	}
	short := h.Open(time.Millisecond)
	steps := 0
	eventually(t, "all rows are pruned", func() bool {
		_, err := short.Prune(t.Context())
		check(t, "prune", err)
		steps++
		entries, err = table.List(t.Context(), outbox.Published, 0, 1)
		check(t, "list", err)
		return len(entries) == 0
	})
	if steps < 2 {
		t.Error("all rows were pruned in one step")
	}
	publish(t, h, table, events[0])
	wantIDs(t, claimed(t, table), "0")
}

func leases[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	lead := func(relay string, lease time.Duration) bool {
		led, err := table.Lead(t.Context(), relay, lease)
		check(t, "lead", err)
		return led
	}
	if !lead("a", time.Hour) || lead("b", time.Hour) || !lead("a", time.Hour) {
		t.Fatal("a has the lease, b has not")
	}
	check(t, "resign", table.Resign(t.Context(), "b"))
	if lead("b", time.Hour) {
		t.Fatal("b gave back what it had not")
	}
	check(t, "resign", table.Resign(t.Context(), "a"))
	if !lead("b", 20*time.Millisecond) {
		t.Fatal("b takes over at once")
	}
	eventually(t, "the lease runs out", func() bool { return lead("a", time.Hour) })
	if lead("b", time.Hour) {
		t.Fatal("b has lost the lease")
	}
}

func wakes[Tx any](t *testing.T, h OutboxHarness[Tx]) {
	table := h.Open(0)
	ctx, cancel := context.WithCancel(t.Context())
	waker, err := table.Wake(ctx)
	check(t, "wake", err)
	publish(t, h, table, eventOf("a", "k"))
	table.Committed()
	begin := time.Now()
	check(t, "wait", waker.Wait(ctx, time.Minute))
	check(t, "wait", waker.Wait(ctx, time.Millisecond))
	if waited := time.Since(begin); waited > 30*time.Second {
		t.Errorf("waited %v", waited)
	}
	cancel()
	if err := waker.Wait(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
	check(t, "close", waker.Close())
}
