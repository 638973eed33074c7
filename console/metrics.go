package console

import (
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tidings-io/tidings/broker"
)

// Metrics counts what the broker reports, by topic, and remembers what queues that are
// gone have counted. Give it to broker.Open as
// the Observer and to Listen as Config.Metrics. The zero value is ready.
type Metrics struct {
	topics sync.Map // broker.Name -> *traffic

	mu   sync.Mutex         // guards gone
	gone broker.QueueCounts // of exclusive queues, which have no metrics of their own
}

// traffic is what went in and out of one topic since the process started.
type traffic struct {
	name                                     string
	recordsIn, bytesIn, recordsOut, bytesOut atomic.Uint64
}

// WantsRaw saves the broker the copy of every batch.
func (m *Metrics) WantsRaw() bool { return false }

// WantsQueues saves the broker the events of queues: each counts for itself.
func (m *Metrics) WantsQueues() bool { return false }

// Observe counts one batch. It never waits.
func (m *Metrics) Observe(e broker.Event) {
	switch e := e.(type) {
	case *broker.Published:
		t := m.of(e.Partition.Topic())
		t.recordsIn.Add(uint64(e.Count))
		t.bytesIn.Add(uint64(e.Bytes))
	case *broker.Delivered:
		t := m.of(e.Partition.Topic())
		t.recordsOut.Add(uint64(e.Count))
		t.bytesOut.Add(uint64(e.Bytes))
	case *broker.TopicDeleted:
		m.topics.Delete(e.Topic.Name())
	case *broker.QueueDeleted:
		if e.Queue.Spec().Owner != nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			addCounts(&m.gone, e.Queue.Stats().Counts)
		}
	}
}

func addCounts(sum *broker.QueueCounts, c broker.QueueCounts) {
	sum.Published += c.Published
	sum.Delivered += c.Delivered
	sum.Redelivered += c.Redelivered
	sum.Accepted += c.Accepted
	sum.Rejected += c.Rejected
	sum.Expired += c.Expired
	sum.Dropped += c.Dropped
	sum.Lost += c.Lost
}

// of finds a topic's counts by name: a topic made anew goes on counting, and no
// series appears twice.
func (m *Metrics) of(t *broker.Topic) *traffic {
	name := t.Name()
	if v, ok := m.topics.Load(name); ok {
		return v.(*traffic)
	}
	v, _ := m.topics.LoadOrStore(name, &traffic{name: name.Name})
	return v.(*traffic)
}

// metricsHandler answers with the counts of this server, in Prometheus' text
// format or whatever the scraper prefers.
func (s *Server) metricsHandler() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{s},
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// collector reads everything at the moment of the scrape: the engine keeps the
// numbers anyway.
type collector struct{ s *Server }

var (
	descInfo = describe("build_info", "Always 1; the version is in the label.", "version")

	descRecordsIn  = describe("records_in_total", "Records published.", "topic")
	descBytesIn    = describe("bytes_in_total", "Bytes of encoded batches published.", "topic")
	descRecordsOut = describe("records_out_total", "Records handed to readers.", "topic")
	descBytesOut   = describe("bytes_out_total", "Bytes of encoded batches handed out.", "topic")

	descTopics      = describe("topics", "Topics there are.")
	descPartitions  = describe("partitions", "Partitions of all topics.")
	descTopicBytes  = describe("topic_bytes", "Bytes kept.", "topic")
	descConnections = describe("connections", "Open connections.", "listener")
	descLag         = describe("group_lag_records",
		"Records a group has not read yet.", "group", "topic")
	descLagSeconds = describe("group_lag_seconds",
		"Age of the oldest record a group has not read yet; -1 if unknown.", "group", "topic")
	descChannels = describe("channels", "Open channels, of protocols that have them.", "listener")
	descMembers  = describe("group_members", "Consumers in a group.", "group")

	descFrames      = describe("storage_frames_total", "Journal frames written: atomic commits.")
	descSyncs       = describe("storage_syncs_total", "Times the disk was waited for.")
	descCheckpoints = describe("storage_checkpoints_total", "Checkpoints taken.")
	descJournal     = describe("storage_journal_bytes_total", "Bytes written to the journal.")
	descExtents     = describe("storage_extent_bytes_total", "Bytes written straight to segments.")
	descPending     = describe("storage_pending_bytes", "Bytes that wait for the disk.")
	descLogs        = describe("storage_logs", "Logs there are.")
	descSegments    = describe("storage_segments", "Segment files there are.")
	descOpenFiles   = describe("storage_open_files", "Segment files held open.")
	descKeys        = describe("storage_keys", "Keys of the small durable state.")
	descFree        = describe("storage_disk_free_bytes",
		"Bytes free on the data directory's disk.")
	descTotal = describe("storage_disk_total_bytes", "Size of the data directory's disk.")
	descFull  = describe("storage_disk_full",
		"1 while producers are pushed back for lack of room.")
	descFailed = describe("storage_failed",
		"1 after a write or sync error: nothing more is accepted.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tidings_"+name, help, labels, nil)
}

// Describe sends nothing: the set of series changes with the topics, so the
// registry checks them at each scrape instead.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends every series.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	send := sender(ch)
	send.gauge(descInfo, 1, c.s.c.Version)
	c.topics(send)
	c.traffic(send)
	c.groups(send)
	c.queues(send)
	c.storage(send)
	for _, l := range append(c.s.c.Listeners(), c.s.listener()...) {
		send.gauge(descConnections, float64(l.Connections), l.Name)
		if l.Channels > 0 || l.Name == "amqp" {
			send.gauge(descChannels, float64(l.Channels), l.Name)
		}
	}
}

func (c *collector) topics(send sender) {
	topics, partitions := c.s.b.Topics(""), 0
	for _, t := range topics {
		row := topicRow(t, topicLag{})
		partitions += row.Partitions
		send.gauge(descTopicBytes, float64(row.Bytes), row.Name)
	}
	send.gauge(descTopics, float64(len(topics)))
	send.gauge(descPartitions, float64(partitions))
}

func (c *collector) traffic(send sender) {
	if c.s.c.Metrics == nil {
		return
	}
	c.s.c.Metrics.topics.Range(func(_, v any) bool {
		t := v.(*traffic)
		send.counter(descRecordsIn, t.recordsIn.Load(), t.name)
		send.counter(descBytesIn, t.bytesIn.Load(), t.name)
		send.counter(descRecordsOut, t.recordsOut.Load(), t.name)
		send.counter(descBytesOut, t.bytesOut.Load(), t.name)
		return true
	})
}

func (c *collector) groups(send sender) {
	for _, l := range c.s.lags(func(string) bool { return true }) {
		send.gauge(descLag, float64(l.Lag), l.Group, l.Topic)
		send.gauge(descLagSeconds, l.LagSeconds, l.Group, l.Topic)
	}
	for _, g := range c.s.sortedGroups() {
		send.gauge(descMembers, float64(len(g.live.Members)), g.name)
	}
}

func (c *collector) storage(send sender) {
	st := c.s.b.Storage()
	send.counter(descFrames, st.Frames)
	send.counter(descSyncs, st.Syncs)
	send.counter(descCheckpoints, st.Checkpoints)
	send.counter(descJournal, st.JournalBytes)
	send.counter(descExtents, st.ExtentBytes)
	send.gauge(descPending, float64(st.PendingBytes))
	send.gauge(descLogs, float64(st.Logs))
	send.gauge(descSegments, float64(st.Segments))
	send.gauge(descOpenFiles, float64(st.OpenFiles))
	send.gauge(descKeys, float64(st.Keys))
	send.gauge(descFree, float64(st.DiskFree))
	send.gauge(descTotal, float64(st.DiskTotal))
	send.gauge(descFull, oneIf(st.Full))
	send.gauge(descFailed, oneIf(c.s.b.Err() != nil))
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// sender builds constant metrics.
type sender chan<- prometheus.Metric

func (s sender) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s sender) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}
