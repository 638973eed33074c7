package kafka_test

import (
	"context"
	"testing"

	"github.com/tidings-io/tidings"
)

// BenchmarkPublish is of 1 KiB, 500 in a call.
func BenchmarkPublish(b *testing.B) {
	tr := dial(b, benchBroker(b))
	defer tr.Close(context.Background())
	batch := kibibytes(500)
	b.SetBytes(int64(len(batch)) << 10)
	for b.Loop() {
		if err := tr.Publish(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkReceiveAndAck is of a backlog of events of 1 KiB.
func BenchmarkReceiveAndAck(b *testing.B) {
	tr := dial(b, benchBroker(b))
	defer tr.Close(context.Background())
	s := tidings.Subscription{Group: "mail", Topics: []string{"orders"}, From: tidings.Earliest}
	batch := kibibytes(500)
	for range 200 {
		if err := tr.Publish(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for b.Loop() {
		c, err := tr.Subscribe(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		for got := 0; got < 200*len(batch); {
			ds, err := c.Receive(b.Context(), 500)
			if err != nil {
				b.Fatal(err)
			}
			for _, d := range ds {
				if err := d.Ack(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			got += len(ds)
			n += len(ds)
		}
		c.Close(b.Context())
		s.Group += "x"
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

func kibibytes(n int) (out []tidings.Event) {
	for _, e := range events("orders", 0, n) {
		e.Payload = make([]byte, 1024)
		out = append(out, e)
	}
	return out
}

func benchBroker(b *testing.B) string {
	addr, stop := brokerForExamples()
	b.Cleanup(stop)
	return addr
}
