package kafka

// The response of a fetch is encoded here and not by the codec, so that the batches go from
// where the engine read them to the socket without another copy.

import (
	"encoding/binary"

	"github.com/tidings-io/tidings/broker"
)

// write appends the response. The buffers of the partitions belong to out from here on.
func (f *fetching) write(out *output) {
	f.hand(out)
	out.seal()
	before := out.size
	// The head is a piece of its own: its length is known last, and scratch may have moved.
	head := f.request.appendHead(nil)
	out.pieces = append(out.pieces, head)
	out.size += len(head)

	e := fetchEncoder{out: out, version: f.query.Version, flexible: f.query.Version >= 12}
	e.head(f)
	e.topics(f)
	e.noTags()
	out.seal()
	binary.BigEndian.PutUint32(head, uint32(out.size-before-lengthBytes))
}

// fetchEncoder appends the fields of a fetch response in one version.
type fetchEncoder struct {
	out      *output
	version  int16
	flexible bool
}

func (e *fetchEncoder) topics(f *fetching) {
	parts := f.parts
	e.count(len(f.query.Topics))
	for i := range f.query.Topics {
		in := &f.query.Topics[i]
		if e.version >= 13 {
			e.out.scratch = append(e.out.scratch, in.TopicID[:]...)
		} else {
			e.text(in.Topic)
		}
		e.count(len(in.Partitions))
		for j := range in.Partitions {
			e.partition(&parts[j], f.query.IsolationLevel)
		}
		parts = parts[len(in.Partitions):]
		e.noTags()
	}
}

func (e *fetchEncoder) i8(v int8) { e.out.scratch = append(e.out.scratch, byte(v)) }

func (e *fetchEncoder) i16(v int16) {
	e.out.scratch = binary.BigEndian.AppendUint16(e.out.scratch, uint16(v))
}

func (e *fetchEncoder) i32(v int32) {
	e.out.scratch = binary.BigEndian.AppendUint32(e.out.scratch, uint32(v))
}

func (e *fetchEncoder) i64(v int64) {
	e.out.scratch = binary.BigEndian.AppendUint64(e.out.scratch, uint64(v))
}

// count appends the length of an array or of bytes.
func (e *fetchEncoder) count(n int) {
	if e.flexible {
		e.out.scratch = binary.AppendUvarint(e.out.scratch, uint64(n+1))
	} else {
		e.i32(int32(n))
	}
}

func (e *fetchEncoder) text(s string) {
	if e.flexible {
		e.count(len(s))
	} else {
		e.i16(int16(len(s)))
	}
	e.out.scratch = append(e.out.scratch, s...)
}

func (e *fetchEncoder) noTags() {
	if e.flexible {
		e.i8(0)
	}
}

func (e *fetchEncoder) head(f *fetching) {
	e.i32(0) // throttle time
	if e.version >= 7 {
		e.i16(f.refused)
		e.i32(0) // session id
	}
}

func (e *fetchEncoder) partition(p *fetchPart, isolation int8) {
	start, end := int64(p.start), int64(p.end)
	if p.err != errNone {
		start, end = -1, -1
	}
	e.i32(p.query.Partition)
	e.i16(p.err)
	e.i64(end)
	e.i64(end) // last stable offset
	if e.version >= 5 {
		e.i64(start)
	}
	e.count(abortedCount(isolation))
	if e.version >= 11 {
		e.i32(-1) // preferred read replica
	}
	e.count(p.bytes)
	for _, entry := range p.buf.Entries {
		e.out.add(entry.Bytes)
	}
	e.diverging(p)
}

// abortedCount is the length of the list of aborted transactions: it is null for a client
// that does not ask for committed records only.
func abortedCount(isolation int8) int {
	const readCommitted = 1
	if isolation == readCommitted {
		return 0
	}
	return -1
}

// diverging ends a partition. A client that has fetched in an epoch that never was is told
// where its history leaves ours: at the end of epoch 0 (KIP-595).
func (e *fetchEncoder) diverging(p *fetchPart) {
	if !e.flexible {
		return
	}
	if p.query.LastFetchedEpoch <= leaderEpoch || p.err != errNone {
		e.i8(0)
		return
	}
	e.i8(1)  // one tagged field
	e.i8(0)  // number 0
	e.i8(13) // size
	e.i32(leaderEpoch)
	e.i64(int64(p.end))
	e.i8(0)
}

// hand passes the buffers on to out, which releases them when they are sent, and tells the
// observer.
func (f *fetching) hand(out *output) {
	out.taken += f.taken
	f.taken = 0
	observing := f.conn.srv.broker.Observing()
	for i := range f.parts {
		p := &f.parts[i]
		if !p.filled {
			continue
		}
		out.held = append(out.held, &p.buf)
		if observing && p.bytes > 0 {
			f.delivered(p)
		}
	}
}

// delivered reports the records of one partition.
func (f *fetching) delivered(p *fetchPart) {
	first := p.buf.Entries[0]
	last := p.buf.Entries[len(p.buf.Entries)-1]
	from := max(first.Base, broker.Offset(p.query.FetchOffset))
	f.conn.srv.broker.Observe(&broker.Delivered{
		Partition: p.part, From: from,
		Count:  int32(last.Base + broker.Offset(last.Count) - from),
		Bytes:  p.bytes,
		Client: f.request.client,
		Group:  f.conn.srv.groups.reader(f.request.client, f.conn.host, p.part),
	})
}
