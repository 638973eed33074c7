package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/storage/vfs"
)

// An event that steps aside gets each delay of the policy, however often it is tried at once.
func TestWhatStepsAsideHasAllItsAttempts(t *testing.T) {
	for _, group := range []string{"g", "orders"} { // which may have the name of a topic
		t.Run(group, func(t *testing.T) { stepAside(t, group) })
	}
}

func stepAside(t *testing.T, group string) {
	h := start(t, vfs.NewMem(), Config{})
	letters := h.subscribe(t, tidings.Subscription{Group: tidings.DeadLetters(group)})
	var tried []string // of one key: one after the other
	s := tidings.NewService(group, h.t, tidings.WithLogger(slog.New(slog.DiscardHandler))).Subscribe(
		tidings.Policy{StepAside: true, Immediate: 2, Delays: slices.Repeat([]time.Duration{time.Millisecond}, 3)},
		tidings.OnAny("orders", func(_ context.Context, d *tidings.Delivery) error {
			tried = append(tried, fmt.Sprintf("%s %d", d.Topic, d.Attempt))
			return errors.New("not now")
		}))
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	<-s.Ready()
	h.publish(t, event("orders", "k", 1))
	letter := receive(t, letters, 1)[0]
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
	want := []string{"orders 1", "orders 2", "orders 3", "orders 4", "orders 5", "orders 6"}
	if !slices.Equal(tried, want) {
		t.Errorf("tried %q, want %q", tried, want)
	}
	if n := letter.Extensions[tidings.ExtDeadAttempts]; n != "6" {
		t.Errorf("the dead letter tells of %s attempts, want 6", n)
	}
}

// Who holds a delivery for too long need not settle it: it is not his any more, and takes no room.
func TestWhatIsOverdueTakesNoRoomInTheWindow(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Lease: 50 * time.Millisecond})
	c := h.subscribe(t, tidings.Subscription{Group: "g", Topics: []string{"orders"}, Window: 1})
	command := event("g", "k", 1)
	command.Kind = tidings.KindCommand
	h.publish(t, command)
	first := receive(t, c, 1)[0]
	again := receive(t, c, 1)[0]
	if again.ID != first.ID || again.Attempt != 2 {
		t.Errorf("got %s, attempt %d, want %s, attempt 2", again.ID, again.Attempt, first.ID)
	}
	ack(t, again)
	h.publish(t, event("orders", "k", 2)) // nor in that of topics
	ack(t, receive(t, c, 1)...)
}

// What was committed does not come again, also where thousands before it are in hand.
func TestACommitHoldsBehindAFullWindow(t *testing.T) {
	fs := vfs.NewMem()
	h := start(t, fs, Config{Partitions: 1})
	sub := tidings.Subscription{Group: "g", Topics: []string{"orders"}, Window: 5000}
	c := h.subscribe(t, sub)
	var events []tidings.Event
	for n := range 4000 {
		events = append(events, event("orders", "k", n))
	}
	h.publish(t, events...)
	got := receive(t, c, len(events))
	last := got[len(got)-1]
	ack(t, last)
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	h2 := start(t, fs.Crash(rand.New(rand.NewPCG(1, 1))), Config{Partitions: 1})
	c = h2.subscribe(t, sub)
	receive(t, c, len(events)-1)
	nothing(t, c)
}
