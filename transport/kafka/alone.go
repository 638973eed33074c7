package kafka

import (
	"context"
	"fmt"
	"strconv"

	"github.com/tidings-io/tidings"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// subscribeAlone reads for a Temporary group: an address of one partition that is made now and
// deleted by Close, from its start, and all partitions that the topics have now. The broker knows
// of no group, so nothing is committed and nobody shares.
func (t *Transport) subscribeAlone(
	ctx context.Context, s tidings.Subscription,
) (tidings.Consumer, error) {
	from := map[string]map[int32]kgo.Offset{}
	if len(s.Topics) > 0 {
		var places kadm.Offsets
		err := persist(ctx, func() (err error) { places, err = t.places(ctx, s); return err })
		if err != nil {
			return nil, err
		}
		from = places.KOffsets()
	}
	topic := address(s.Group)
	kept := strconv.FormatInt((2 * t.config.MaxDelay).Milliseconds(), 10)
	if err := t.topics.create(ctx, topic, 1, map[string]*string{"retention.ms": &kept}); err != nil {
		return nil, fmt.Errorf("kafka: temporary group %q: %w", s.Group, err)
	}
	from[topic] = map[int32]kgo.Offset{0: kgo.NewOffset().At(0)}
	c := t.newConsumer(s)
	return c, c.connect(kgo.ConsumePartitions(from))
}
