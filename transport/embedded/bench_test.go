package embedded

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// publishers is how many publish at the same time.
const publishers = 64

// onDisk is a transport of a broker on a real disk.
func onDisk(b *testing.B) *Transport {
	b.Helper()
	br, err := broker.Open(b.TempDir(), broker.Config{})
	if err != nil {
		b.Fatal(err)
	}
	t := New(br, Config{})
	b.Cleanup(func() {
		_ = t.Close(context.Background())
		_ = br.Close()
	})
	return t
}

// orders are events of 1 KiB with the attributes that most have, over 1,000 keys.
func orders(from, n int) []tidings.Event {
	events := make([]tidings.Event, n)
	payload := bytes.Repeat([]byte("x"), 1024)
	for i := range events {
		events[i] = tidings.Event{Topic: "orders", ID: tidings.NewID(), Source: "shop", Type: "shop.order.placed.v1",
			Time: time.Now().UTC(), ContentType: "application/json", Key: fmt.Sprint("customer-", (from+i)%1000),
			Correlation: "0190b3f4-7d6a-7c3e-8f00-1234567890ab", Payload: payload}
	}
	return events
}

// BenchmarkPublish publishes events of 1 KiB, each call on disk before the next of its publisher.
func BenchmarkPublish(b *testing.B) {
	for _, batch := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("batch", batch), func(b *testing.B) {
			t := onDisk(b)
			b.ReportAllocs()
			publishAll(b, t, batch, b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// publishAll publishes at least n events in calls of so many.
func publishAll(b *testing.B, t *Transport, batch, n int) {
	if err := t.Publish(b.Context(), orders(0, 1)...); err != nil {
		b.Fatal(err)
	}
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range publishers {
		all.Go(func() {
			events := orders(i*batch, batch)
			for left.Add(-int64(batch)) > -int64(batch) {
				if err := t.Publish(b.Context(), events...); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkReceive handles a backlog: every event is acknowledged, and the end is on disk.
func BenchmarkReceive(b *testing.B) {
	t := onDisk(b)
	subscription := tidings.Subscription{Group: "g", Topics: []string{"orders"}, From: tidings.Earliest}
	if err := t.Declare(b.Context(), subscription); err != nil {
		b.Fatal(err)
	}
	publishAll(b, t, 100, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	handle(b, t, subscription, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func handle(b *testing.B, t *Transport, s tidings.Subscription, n int) {
	c, err := t.Subscribe(b.Context(), s)
	if err != nil {
		b.Error(err)
		return
	}
	for handled := 0; handled < n; {
		got, err := c.Receive(b.Context(), 256)
		if err != nil {
			b.Error(err)
			return
		}
		for _, d := range got {
			if err := d.Ack(b.Context()); err != nil {
				b.Error(err)
			}
		}
		handled += len(got)
	}
	if err := c.Close(b.Context()); err != nil {
		b.Error(err)
	}
}

// BenchmarkPublishAndHandle does both at the same time.
func BenchmarkPublishAndHandle(b *testing.B) {
	for _, batch := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("batch", batch), func(b *testing.B) {
			t := onDisk(b)
			s := tidings.Subscription{Group: "g", Topics: []string{"orders"}, From: tidings.Earliest}
			if err := t.Declare(b.Context(), s); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var reader sync.WaitGroup
			reader.Go(func() { handle(b, t, s, b.N) })
			publishAll(b, t, batch, b.N)
			reader.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkCommands publishes and handles what goes to an address, where each acknowledgement is a change of
// the queue.
func BenchmarkCommands(b *testing.B) {
	t := onDisk(b)
	b.ReportAllocs()
	var all sync.WaitGroup
	all.Go(func() { handle(b, t, tidings.Subscription{Group: "orders"}, b.N) })
	for i := range publishers {
		all.Go(func() {
			events := orders(i, 1)
			events[0].Kind = tidings.KindCommand
			for range (b.N + publishers - 1) / publishers {
				if err := t.Publish(b.Context(), events...); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
