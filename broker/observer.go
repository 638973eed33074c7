package broker

import (
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Observer hears what happened, once per batch, after every lock is released.
//
// Changes (Published, Duplicated, StreamAppended, CursorMoved, TopicCreated,
// TopicDeleted, and all that is of queues) are told by one goroutine, when they are on
// disk, and those of one partition or queue in their order: an observer never hears of
// anything that a power cut could take back. What a face reports with Observe is
// told at once, on the caller's goroutine, so Observe is called concurrently and
// a Delivered may arrive before the Published of the same records.
//
// It must not block: while it does, at most 4 MiB or 16,384 changes wait for it,
// then appends wait too. It must not change the broker from within Observe.
type Observer interface{ Observe(Event) }

// RawObserver is an Observer that does not always want to see the bytes of the
// batches: while WantsRaw is false, Published.Raw is nil and the copy is saved.
type RawObserver interface {
	Observer
	WantsRaw() bool
}

// Event is one of the types below, always a pointer.
type Event interface{ event() }

// Published says that a batch was appended to a partition.
type Published struct {
	Partition *Partition
	Base      Offset
	Count     int32
	Bytes     int
	Time      time.Time // of the append
	Raw       []byte    // the batch, valid during the call only; offset 0 in its first bytes
}

// Duplicated says that a batch came again and was answered with the original.
type Duplicated struct {
	Partition *Partition
	Base      Offset // of the original
	Count     int32
	Bytes     int
	Time      time.Time // of the second arrival
	Producer  int64
}

// StreamAppended says that events were appended to a stream of an event store.
type StreamAppended struct {
	Streams *Streams
	Stream  string
	Version int64 // of the stream after it
	Base    Offset
	Count   int32
	Bytes   int
	Time    time.Time
	Raw     []byte // as in Published
}

// Delivered says that a face sent records to a client.
type Delivered struct {
	Partition *Partition
	From      Offset
	Count     int32
	Bytes     int
	Client    string
	Group     string
}

// CursorMoved says that a group saved a cursor.
type CursorMoved struct {
	Group     Name
	Topic     string
	Partition int
	Cursor    Cursor
}

// TopicCreated says that a topic is there.
type TopicCreated struct{ Topic *Topic }

// TopicDeleted says that a topic is gone.
type TopicDeleted struct{ Topic *Topic }

// MemberJoined says that a face let a member into a group.
type MemberJoined struct {
	Group                Name
	Member, Client, Host string
}

// MemberLeft says that a member is gone from a group, and why.
type MemberLeft struct {
	Group       Name
	Member, Why string
}

func (*Published) event()      {}
func (*Duplicated) event()     {}
func (*StreamAppended) event() {}
func (*Delivered) event()      {}
func (*CursorMoved) event()    {}
func (*TopicCreated) event()   {}
func (*TopicDeleted) event()   {}
func (*MemberJoined) event()   {}
func (*MemberLeft) event()     {}

// Observe lets a face report what only it knows (Delivered, MemberJoined,
// MemberLeft). Call it without holding a lock. Without an observer it returns at
// once; ask Observing first where making the event costs something.
func (b *Broker) Observe(e Event) {
	if o := b.config.Observer; o != nil {
		o.Observe(e)
	}
}

// Observing reports whether there is an observer.
func (b *Broker) Observing() bool { return b.config.Observer != nil }

// tell hands a change to the feed, to be told once seq is durable.
func (b *Broker) tell(seq storage.Seq, e Event) {
	if b.feed != nil {
		b.feed.push(seq, e, nil)
	}
}

// tellLocked reports an append; the partition's lock keeps the order of offsets.
func (p *Partition) tellLocked(s *staged, seq storage.Seq) {
	if p.b.feed == nil {
		return
	}
	at := timeOf(s.now)
	if s.dup {
		p.b.feed.push(seq, &Duplicated{
			Partition: p, Base: s.base, Count: s.info.Count, Bytes: len(s.raw),
			Time: at, Producer: s.info.Producer,
		}, nil)
		return
	}
	p.b.feed.push(seq, &Published{
		Partition: p, Base: s.base, Count: s.info.Count, Bytes: len(s.raw), Time: at,
	}, s.raw)
}
