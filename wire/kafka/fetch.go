package kafka

// Fetch (key 1).
//
// Versions: 4 to 18.
//
// Behaviour: whole batches, from the one that holds the wanted offset on. The response waits
// until min_bytes are there, at most max_wait; an error in any partition ends the wait. Both
// byte limits are soft: the first partition with records gives one batch however large it is.
// Each fetch of a connection begins with another partition, so that none starves behind a busy
// one. High watermark and last stable offset are the durable end of the log.
//
// Differences from Apache Kafka: incremental fetch sessions (KIP-227) are never made; the
// session id is always 0, which tells clients to send full requests. A response has at most
// Limits.FetchBytes. There are no aborted transactions, followers or preferred replicas.

import (
	"encoding/binary"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The epochs of a fetch session that are not a number within one.
const (
	sessionStart = 0
	sessionNone  = -1
)

// leaderEpoch is the epoch of every partition's leader: there never was another.
const leaderEpoch = 0

// maxFetchWait bounds what a client may ask a fetch to wait.
const maxFetchWait = 5 * time.Minute

func (c *conn) fetch(r *request, q *kmsg.FetchRequest) reply {
	f := &fetching{conn: c, request: r, query: q, rotation: c.rotation}
	c.rotation++
	if q.SessionEpoch != sessionStart && q.SessionEpoch != sessionNone {
		f.refused = errFetchSessionID // there is no session to go on with
		q.Topics = nil
	}
	f.limit = r.arrived.Add(min(maxFetchWait, time.Duration(q.MaxWaitMillis)*time.Millisecond))
	f.resolve()
	return f
}

// fetching is one fetch request. Its records are read by the write loop, when nothing is in
// front of it any more: so one connection holds the records of one response at a time.
type fetching struct {
	conn     *conn
	request  *request
	query    *kmsg.FetchRequest
	rotation int
	limit    time.Time
	refused  code

	parts  []fetchPart // in the order of the request
	bytes  int         // of records in parts
	failed bool        // a partition has an error
	cut    bool        // a partition has more than fits
	taken  int64       // of the server's fetch memory
}

// fetchPart is one partition of a fetch: what was asked, then what was found.
type fetchPart struct {
	query      *kmsg.FetchRequestTopicPartition
	part       *broker.Partition
	err        code
	buf        broker.Buffer
	filled     bool // buf has to be released
	start, end broker.Offset
	bytes      int
}

// resolve finds the partitions and checks what does not depend on time.
func (f *fetching) resolve() {
	for i := range f.query.Topics {
		in := &f.query.Topics[i]
		t, bad := f.topic(in)
		for j := range in.Partitions {
			f.parts = append(f.parts, fetchPart{query: &in.Partitions[j], err: bad})
			p := &f.parts[len(f.parts)-1]
			if bad == errNone {
				p.part = t.Partition(int(p.query.Partition))
				p.err = checkPart(p.part, p.query.CurrentLeaderEpoch)
			}
		}
	}
}

func (f *fetching) topic(in *kmsg.FetchRequestTopic) (*broker.Topic, code) {
	if f.query.Version >= 13 {
		t, err := f.conn.srv.topicByID(in.TopicID)
		if err != nil {
			return nil, errUnknownTopicID
		}
		return t, errNone
	}
	t, err := f.conn.srv.broker.Topic(f.conn.srv.config.Namespace, in.Topic)
	return t, codeOf(err)
}

// checkPart says whether a partition exists and whether the client's view of its leader is
// not from another history (KIP-320).
func checkPart(p *broker.Partition, epoch int32) code {
	switch {
	case p == nil:
		return errUnknownTopicOrPartition
	case epoch > leaderEpoch:
		return errUnknownLeaderEpoch
	default:
		return errNone
	}
}

// ready is never true at first: reading is the write loop's, which sends meanwhile what it has.
func (f *fetching) ready() bool { return false }

func (f *fetching) weight() int { return f.request.size + partWeight*(1+len(f.parts)) }

// await reads, and waits for records while there are too few. It holds no records meanwhile, nor
// after a connection that ended, however that happened: nobody would release them.
func (f *fetching) await(w *waiting) (ready bool) {
	defer func() {
		if !ready {
			f.release()
		}
	}()
	for f.read(); !f.enough(); f.read() {
		missing := int64(f.least() - f.bytes)
		f.release()
		if !f.watch(w, missing) {
			f.read()
			break
		}
	}
	return w.ctx.Err() == nil
}

// enough says whether to answer with what was read.
func (f *fetching) enough() bool {
	return f.failed || f.cut || len(f.parts) == 0 || f.bytes >= f.least() ||
		!time.Now().Before(f.limit)
}

// most is the largest response wanted, and least the smallest worth sending.
func (f *fetching) most() int {
	most := f.conn.srv.config.Limits.FetchBytes
	if f.query.MaxBytes > 0 {
		most = min(most, int(f.query.MaxBytes))
	}
	return most
}

func (f *fetching) least() int { return min(int(f.query.MinBytes), f.most()) }

// watch waits until a partition has grown or shrunk. It is false when it is time to answer.
func (f *fetching) watch(w *waiting, missing int64) bool {
	watcher := broker.Waiter{C: w.wake, MinBytes: missing}
	watcher.Reset() // an earlier reply may have left a wake-up
	watched := make(map[*broker.Partition]struct{}, len(f.parts))
	for i := range f.parts { // once each, even if it is asked for a thousand times
		watched[f.parts[i].part] = struct{}{}
	}
	for p := range watched {
		p.Watch(&watcher)
		defer p.Unwatch(&watcher)
	}
	return f.moved() || w.untilDrain(f.limit)
}

// moved says whether a partition's bounds differ from those last read, before it was watched.
func (f *fetching) moved() bool {
	for i := range f.parts {
		p := &f.parts[i]
		if start, end := p.part.Bounds(); end != p.end || start != p.start {
			return true
		}
	}
	return false
}

// read fills the partitions with records, beginning with another one each time.
func (f *fetching) read() {
	f.taken = f.conn.srv.fetchMemory.takeUpTo(int64(f.most()), 1)
	left := int(f.taken)
	for i := range f.parts {
		left -= f.parts[(i+f.rotation)%len(f.parts)].read(f, left)
	}
	// One batch may be more than was left, and mostly it is less.
	f.conn.srv.fetchMemory.give(f.taken - int64(f.bytes))
	f.taken = int64(f.bytes)
}

// read fills one partition with at most left bytes, but with one batch at least if nothing
// was found before it. It returns the size.
func (p *fetchPart) read(f *fetching, left int) int {
	if p.err != errNone {
		return p.fail(f, p.err)
	}
	p.start, p.end = p.part.Bounds()
	from := broker.Offset(p.query.FetchOffset)
	if from < p.start || from > p.end {
		return p.fail(f, errOffsetOutOfRange)
	}
	if left <= 0 && f.bytes > 0 {
		f.cut = f.cut || from < p.end
		return 0
	}
	// At the end, too: that is how a deleted partition is noticed.
	most := min(max(left, 1), int(max(p.query.PartitionMaxBytes, 1)))
	if err := p.part.Read(&p.buf, from, most); err != nil {
		return p.fail(f, codeOf(err))
	}
	p.filled = true
	return p.measure(f)
}

// fail ends the partition with an error, which ends the wait for the others.
func (p *fetchPart) fail(f *fetching, c code) int {
	p.release()
	p.err, f.failed = c, true
	return 0
}

// measure counts what was read, and refuses what the client could not decompress.
func (p *fetchPart) measure(f *fetching) int {
	for _, e := range p.buf.Entries {
		if f.query.Version < 10 && batchCodec(e.Bytes) == zstdCodec {
			return p.fail(f, errUnsupportedCompression)
		}
		p.bytes += len(e.Bytes)
	}
	f.bytes += p.bytes
	if n := len(p.buf.Entries); n > 0 {
		last := &p.buf.Entries[n-1]
		next := last.Base + broker.Offset(last.Count)
		f.cut = f.cut || next < p.end
		p.end = max(p.end, next) // records may have come since it was looked at
	}
	return p.bytes
}

func batchCodec(raw []byte) uint16 {
	if len(raw) < batchOverhead {
		return 0
	}
	return binary.BigEndian.Uint16(raw[attributesAt:]) & codecBits
}

func (p *fetchPart) release() {
	if p.filled {
		p.buf.Release()
		p.buf.Entries = nil
	}
	p.filled, p.bytes = false, 0
}

// release forgets what was read.
func (f *fetching) release() {
	for i := range f.parts {
		f.parts[i].release()
	}
	f.conn.srv.fetchMemory.give(f.taken)
	f.bytes, f.taken, f.cut = 0, 0, false
}
