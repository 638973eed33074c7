package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
)

// A broker inside a program, without any listener. The examples below keep their
// data in memory; give Open a directory and leave FS out to keep it on disk.
func ExampleOpen() {
	ctx := context.Background()
	b, err := broker.Open("data", broker.Config{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	orders, err := b.CreateTopic(ctx, broker.TopicSpec{Name: "orders", Partitions: 3})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(orders.Name(), orders.Partitions())
	_, err = b.CreateTopic(ctx, broker.TopicSpec{Name: "orders"})
	fmt.Println(err, errors.Is(err, broker.Exists))
	// Output:
	// orders 3
	// create topic orders: already exists true
}

// open and topic shorten the other examples.
func open() *broker.Broker {
	b, err := broker.Open("data", broker.Config{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	return b
}

func topic(b *broker.Broker, name string) *broker.Topic {
	t, err := b.CreateTopic(context.Background(), broker.TopicSpec{Name: name})
	if err != nil {
		log.Fatal(err)
	}
	return t
}

// Write returns before the record is on disk; its Confirm says when it is.
func ExamplePartition_Write() {
	ctx := context.Background()
	b := open()
	defer b.Close()
	p := topic(b, "orders").Partition(0)
	a, err := p.Write(ctx,
		broker.Record{Key: []byte("o-1"), Value: []byte(`{"id":"o-1"}`)},
		broker.Record{Key: []byte("o-2"), Value: []byte(`{"id":"o-2"}`)})
	if err != nil {
		log.Fatal(err)
	}
	if err := a.Confirm.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	start, end := p.Bounds()
	fmt.Println("at", a.Base, "of", start, "to", end)
	// Output: at 0 of 0 to 2
}

// Read fills a buffer with whole batches; Records decodes one.
func ExamplePartition_Read() {
	ctx := context.Background()
	b := open()
	defer b.Close()
	p := topic(b, "orders").Partition(0)
	for _, v := range []string{"one", "two", "three"} {
		a, err := p.Write(ctx, broker.Record{Value: []byte(v)})
		if err != nil {
			log.Fatal(err)
		}
		if err := a.Confirm.Wait(ctx); err != nil {
			log.Fatal(err)
		}
	}
	var buf broker.Buffer
	defer buf.Release()
	for from := broker.Offset(1); ; {
		if err := p.Read(&buf, from, 1<<20); err != nil {
			log.Fatal(err)
		}
		if len(buf.Entries) == 0 {
			return // the durable end
		}
		for _, batch := range buf.Entries {
			for rec, err := range broker.Records(batch.Bytes) {
				if err != nil {
					log.Fatal(err)
				}
				fmt.Println(rec.Offset, string(rec.Value))
			}
			from = batch.Base + broker.Offset(batch.Count)
		}
	}
	// Output:
	// 1 two
	// 2 three
}

// A reader that has reached the end waits with a Waiter. It watches before it
// reads, so that nothing comes in between.
func ExamplePartition_Watch() {
	ctx := context.Background()
	b := open()
	defer b.Close()
	p := topic(b, "orders").Partition(0)
	w := &broker.Waiter{C: make(chan struct{}, 1), MinBytes: 1}
	p.Watch(w)
	defer p.Unwatch(w)
	if _, err := p.Write(ctx, broker.Record{Value: []byte("news")}); err != nil {
		log.Fatal(err)
	}
	<-w.C // it is durable
	_, end := p.Bounds()
	fmt.Println("durable end", end)
	// Output: durable end 1
}

// OffsetAt finds where to begin reading from a time on.
func ExamplePartition_OffsetAt() {
	ctx := context.Background()
	b := open()
	defer b.Close()
	p := topic(b, "orders").Partition(0)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var recs []broker.Record
	for minute := range 5 {
		recs = append(recs, broker.Record{Time: noon.Add(time.Duration(minute) * time.Minute)})
	}
	a, err := p.Write(ctx, recs...)
	if err != nil {
		log.Fatal(err)
	}
	if err := a.Confirm.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	off, at, ok, err := p.OffsetAt(ctx, noon.Add(90*time.Second))
	fmt.Println(off, at.Format("15:04"), ok, err)
	// Output: 2 12:02 true <nil>
}

// A producer with an id may send a batch again when it did not hear the answer:
// the second one is recognized and answers with the first one's offset.
func ExampleSetProducer() {
	ctx := context.Background()
	b := open()
	defer b.Close()
	p := topic(b, "payments").Partition(0)
	id, err := b.NewProducer(ctx)
	if err != nil {
		log.Fatal(err)
	}
	raw, err := broker.EncodeBatch(nil, broker.Zstd, broker.Record{Value: []byte("pay 10")})
	if err != nil {
		log.Fatal(err)
	}
	if err := broker.SetProducer(raw, id, 0, 0); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		a, err := p.Append(ctx, raw)
		fmt.Println(a.Base, a.Duplicate, err)
	}
	// Output:
	// 0 false <nil>
	// 0 true <nil>
}

// A Tx does all of its changes or none: here the result of a step and the cursor
// behind its input.
func ExampleTx() {
	ctx := context.Background()
	b := open()
	defer b.Close()
	in, out := topic(b, "in").Partition(0), topic(b, "out").Partition(0)
	raw, err := broker.EncodeBatch(nil, broker.None, broker.Record{Value: []byte("result")})
	if err != nil {
		log.Fatal(err)
	}
	tx := b.Begin()
	i := tx.Append(out, raw)
	tx.SaveCursor("", "worker", in, broker.Cursor{Offset: 1})
	confirm, err := tx.Commit(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := confirm.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	group, err := b.Group("", "worker")
	if err != nil {
		log.Fatal(err)
	}
	cursor, ok := group.Cursor("in", 0)
	fmt.Println("appended at", tx.Result(i).Base, "cursor", cursor.Offset, ok)
	// Output: appended at 0 cursor 1 true
}

// An event store: many streams in one log, each with a version that an append can
// insist on.
func ExampleStreams() {
	ctx := context.Background()
	b := open()
	defer b.Close()
	s, err := b.CreateStreams(ctx, "", "shop")
	if err != nil {
		log.Fatal(err)
	}
	event := func(v string) broker.Record { return broker.Record{Value: []byte(v)} }
	if _, err := s.Append(ctx, "order-1", broker.NoStream, event("placed")); err != nil {
		log.Fatal(err)
	}
	if _, err := s.Append(ctx, "order-2", broker.NoStream, event("placed")); err != nil {
		log.Fatal(err)
	}
	a, err := s.Append(ctx, "order-1", 1, event("paid"), event("shipped"))
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.Append(ctx, "order-1", 1, event("cancelled"))
	fmt.Println(err)
	if err := a.Confirm.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	for e, err := range s.Read(ctx, "order-1", 1) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Stream, e.Version, e.Position, string(e.Value))
	}
	// Output:
	// append stream shop: stream "order-1": expected version 1, it is at version 3
	// order-1 1 0 placed
	// order-1 2 2 paid
	// order-1 3 3 shipped
}
