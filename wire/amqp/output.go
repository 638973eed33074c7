package amqp

import (
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// output is what goes to a client. The read loop and other connections append frames to it; the
// write loop takes them, adds the confirms that have become due and the deliveries that
// consumers may have, and writes all of it at once.
type output struct {
	wake  chan struct{} // capacity 1: there is something to look at
	taken chan struct{} // capacity 1: something of it was taken, or the connection is to be looked at

	mu       sync.Mutex
	buf      []byte // whole frames
	confirms []confirm
	asked    bool // the first confirm will wake us
	ended    bool // write what is there, and then no more
	// consumers are those whose consume-ok is in buf, or was; never changed, but replaced.
	consumers []*consumer
}

// confirm is a publish that its channel wants to hear of.
type confirm struct {
	ch      *channel
	tag     uint64
	done    broker.Confirm
	refused bool
}

// rest lets go of the room that a busy time needed. For the write loop.
func (o *output) rest() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) == 0 {
		o.buf = nil
	}
	if len(o.confirms) == 0 {
		o.confirms = nil
	}
	for _, x := range o.consumers {
		x.room = nil
		x.src.idle()
	}
}

// put appends frames by a function that must not block.
func (o *output) put(f func(dst []byte) []byte) {
	o.mu.Lock()
	if !o.ended {
		o.buf = f(o.buf)
	}
	o.mu.Unlock()
	ring(o.wake)
}

// method appends a method frame. What the server itself says always fits; if it does not, that is
// a bug, and the connection ends with it.
func (o *output) method(channel uint16, m method) {
	o.put(func(dst []byte) []byte {
		out, err := appendMethod(dst, channel, m)
		if err != nil {
			panic(err)
		}
		return out
	})
}

// expect adds confirms in the order of their publishes.
func (o *output) expect(all []confirm) {
	o.mu.Lock()
	o.confirms = append(o.confirms, all...)
	o.mu.Unlock()
	ring(o.wake)
}

// end lets the write loop write what is there and end.
func (o *output) end() {
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	ring(o.wake)
}

// take gives the frames that wait, with acks for all publishes that are on disk, the consumers
// that may have deliveries behind them, and says whether the output has ended. spare is an empty
// buffer to go on with.
func (o *output) take(spare []byte) (frames []byte, consumers []*consumer, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames, o.buf = o.dueLocked(o.buf), spare
	if len(frames) > 0 {
		ring(o.taken)
	}
	if len(o.confirms) > 0 && !o.asked {
		o.asked = true
		o.confirms[0].done.Notify(o.wake)
	}
	return frames, o.consumers, o.ended
}

// dueLocked appends acks for the publishes that are on disk.
func (o *output) dueLocked(dst []byte) []byte {
	n := 0
	for n < len(o.confirms) && o.confirms[n].done.Done() {
		n++
	}
	if n == 0 {
		return dst
	}
	dst = appendConfirms(dst, o.confirms[:n])
	o.confirms = append(o.confirms[:0], o.confirms[n:]...)
	o.asked = false
	return dst
}

// flush puts the acks that are due before what is put next.
func (o *output) flush() {
	o.mu.Lock()
	o.buf = o.dueLocked(o.buf)
	o.mu.Unlock()
	ring(o.wake)
}

// newest is the last confirm that waits for the disk.
func (o *output) newest() (last broker.Confirm, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.confirms) == 0 {
		return last, false
	}
	return o.confirms[len(o.confirms)-1].done, true
}

// mostConfirms bounds the publishes of a connection that wait for their confirm.
const mostConfirms = 1 << 16

// full says that no more should be asked for before some of it is written.
func (o *output) full(limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) > limit || len(o.confirms) > mostConfirms
}

// addLocked and remove change who gets deliveries.
func (o *output) addLocked(x *consumer) { o.consumers = append(slices.Clip(o.consumers), x) }

// detach takes the consumers of a queue or topic out, and attach puts them back.
func (o *output) detach(of any) (out []*consumer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var rest []*consumer
	for _, x := range o.consumers {
		if x.src.of() == of {
			out = append(out, x)
		} else {
			rest = append(rest, x)
		}
	}
	o.consumers = rest
	return out
}

func (o *output) attach(back []*consumer) {
	o.mu.Lock()
	o.consumers = slices.Concat(o.consumers, back)
	o.mu.Unlock()
	ring(o.wake)
}

func (o *output) remove(x *consumer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.consumers, x); i >= 0 {
		o.consumers = slices.Concat(o.consumers[:i], o.consumers[i+1:])
	}
}

// appendConfirms writes acks and nacks. A run of acks of one channel is a single one, since the
// tags of a channel come here without a gap.
func appendConfirms(dst []byte, all []confirm) []byte {
	for i := 0; i < len(all); {
		first := &all[i]
		n := 1
		for i+n < len(all) && all[i+n].ch == first.ch && all[i+n].refused == first.refused {
			n++
		}
		last := all[i+n-1].tag
		i += n
		if first.ch.silent() {
			continue
		}
		if first.refused {
			dst, _ = appendMethod(dst, first.ch.id, &basicNack{deliveryTag: last, multiple: n > 1})
		} else {
			dst, _ = appendMethod(dst, first.ch.id, &basicAck{deliveryTag: last, multiple: n > 1})
		}
	}
	return dst
}

// ring tells a channel of capacity 1 without waiting: one that is full was told.
func ring(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// keptOutput is the largest buffer that an idle connection keeps.
const keptOutput = 16 << 10

var heartbeatFrame = appendFrame(nil, frame{kind: frameHeartbeat})

// write is the write loop.
func (c *conn) write() {
	defer close(c.written)
	var beat <-chan time.Time
	var spare []byte
	idle := true
	for {
		select {
		case <-c.out.wake:
		case <-c.tuned: // the heartbeat is known now
			c.tuned = nil
			if c.heartbeat > 0 {
				t := time.NewTicker(c.heartbeat / 2)
				defer t.Stop()
				beat = t.C
			}
			continue
		case <-beat:
			if idle && c.send(heartbeatFrame) != nil {
				c.hangUp()
				return
			}
			if idle {
				spare = nil
				c.out.rest()
			}
			idle = true
			continue
		}
		for {
			frames, consumers, ended := c.out.take(spare[:0])
			spare = nil
			n, err := c.sendWith(frames, consumers, ended)
			if err != nil {
				c.hangUp()
				return
			}
			idle = idle && n == 0
			if cap(frames) <= keptOutput {
				spare = frames
			}
			if ended {
				c.closeWrite()
				return
			}
			if n == 0 {
				break
			}
		}
	}
}

// sendWith sends frames, and behind them what consumers may have unless the output has ended. It
// returns how many bytes that were.
func (c *conn) sendWith(frames []byte, consumers []*consumer, ended bool) (int, error) {
	if len(consumers) > 0 && !ended {
		room := c.s.rooms.Get().(*[]byte)
		defer c.s.rooms.Put(room)
		frames = c.deliver(append((*room)[:0], frames...), consumers)
		if *room = frames; cap(frames) > 2*c.s.config.Limits.QueuedBytes {
			*room = nil // a large message has made it so
		}
	}
	if len(frames) == 0 {
		return 0, nil
	}
	return len(frames), c.send(frames)
}

// closeWrite tells the client that nothing more will come.
func (c *conn) closeWrite() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // run closes the whole of it
	}
}

// send writes with a deadline: a client that does not read for so long is gone.
func (c *conn) send(p []byte) error {
	err := c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if c.ending.Load() { // hurry may have set its deadline before us
		err = c.nc.SetWriteDeadline(c.until)
	}
	if err != nil {
		return err
	}
	_, err = c.nc.Write(p)
	return err
}

// writeTimeout is how long one write may take. Consumers stop reading while they work, so it is
// long; heartbeats find a dead peer sooner.
const writeTimeout = 10 * time.Minute
