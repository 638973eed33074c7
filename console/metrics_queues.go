package console

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidings-io/tidings/broker"
)

var (
	descQueues    = describe("queues", "Queues there are.")
	descExchanges = describe("exchanges", "Exchanges there are, those that always are included.")

	descQueueReady  = describe("queue_ready_records", "Records that wait.", "queue")
	descQueueLeased = describe("queue_leased_records",
		"Records that are delivered and not settled.", "queue")
	descQueueSubscriptions = describe("queue_subscriptions", "Consumers.", "queue")
	descQueueBytes         = describe("queue_bytes", "Bytes kept.", "queue")
)

// queueCounters are the counts of a queue, each a series.
var queueCounters = []struct {
	desc *prometheus.Desc
	of   func(*broker.QueueCounts) uint64
}{
	{describe("queue_published_total", "Records that the queue took.", "queue"),
		func(c *broker.QueueCounts) uint64 { return c.Published }},
	{describe("queue_delivered_total", "Records handed to consumers.", "queue"),
		func(c *broker.QueueCounts) uint64 { return c.Delivered }},
	{describe("queue_redelivered_total", "Those that were handed out before.", "queue"),
		func(c *broker.QueueCounts) uint64 { return c.Redelivered }},
	{describe("queue_accepted_total", "Records that consumers are done with.", "queue"),
		func(c *broker.QueueCounts) uint64 { return c.Accepted }},
	{describe("queue_rejected_total", "Records that were rejected, or delivered too often.", "queue"),
		func(c *broker.QueueCounts) uint64 { return c.Rejected }},
	{describe("queue_expired_total", "Records whose time had run out.", "queue"),
		func(c *broker.QueueCounts) uint64 { return c.Expired }},
	{describe("queue_dropped_total", "Records beyond the length of the queue.", "queue"),
		func(c *broker.QueueCounts) uint64 { return c.Dropped }},
	{describe("queue_lost_total", "Records that a repair gave up.", "queue"),
		func(c *broker.QueueCounts) uint64 { return c.Lost }},
}

// otherQueues is the label of the sum of all queues without series of their own: those
// of one connection, which come and go, and those beyond Limits.MetricQueues by name.
const otherQueues = "_other"

func (c *collector) queues(send sender) {
	all := c.s.b.Queues("")
	send.gauge(descQueues, float64(len(all)))
	send.gauge(descExchanges, float64(len(c.s.b.Exchanges(""))))
	var other broker.QueueStats
	if m := c.s.c.Metrics; m != nil {
		m.mu.Lock()
		other.Counts = m.gone
		m.mu.Unlock()
	}
	shown := 0
	for _, q := range all {
		st := q.Stats()
		if name := q.Name().Name; q.Spec().Owner == nil && name != otherQueues &&
			shown < c.s.c.Limits.MetricQueues {
			shown++
			send.queue(name, &st)
			continue
		}
		other.Ready += st.Ready
		other.Leased += st.Leased
		other.Subscriptions += st.Subscriptions
		other.Bytes += st.Bytes
		addCounts(&other.Counts, st.Counts)
	}
	send.queue(otherQueues, &other)
}

func (s sender) queue(name string, st *broker.QueueStats) {
	s.gauge(descQueueReady, float64(st.Ready), name)
	s.gauge(descQueueLeased, float64(st.Leased), name)
	s.gauge(descQueueSubscriptions, float64(st.Subscriptions), name)
	s.gauge(descQueueBytes, float64(st.Bytes), name)
	for _, c := range queueCounters {
		s.counter(c.desc, c.of(&st.Counts), name)
	}
}
