package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestFetchedOffsetsAreOnDisk: who was told an offset must not see it move back after a crash,
// whether or not it was this client that committed it.
func TestFetchedOffsetsAreOnDisk(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		topic, err := b.broker.CreateTopic(context.Background(), broker.TopicSpec{Name: "t"})
		if err != nil {
			b.Fatal(err)
		}
		c := &conn{srv: &Server{broker: b.broker, config: *b.config}}
		proceed := b.disk.close()
		defer proceed()
		tx := b.broker.Begin()
		tx.SaveCursor("", "g", topic.Partition(0), broker.Cursor{Offset: 42})
		confirm, err := tx.Commit(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		for _, version := range []int16{1, 8} {
			q := kmsg.NewPtrOffsetFetchRequest()
			q.Group, q.Groups = "g", []kmsg.OffsetFetchRequestGroup{{Group: "g"}}
			q.Version = version
			answer := c.offsetFetch(&request{version: version, arrived: time.Now()}, q)
			if answer.ready() {
				b.Errorf("version %d: the offset was told before it was on disk", version)
			}
			defer func() {
				if !answer.ready() {
					b.Errorf("version %d: the offset is on disk and was not told", version)
				}
			}()
		}
		proceed()
		if err := confirm.Wait(context.Background()); err != nil {
			b.Fatal(err)
		}
	})
}
