package kafka

import (
	"context"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// reply is the answer to one request. A connection sends its replies in the order of the
// requests, so one that is not ready yet holds back those behind it, as clients expect.
// A nil reply means that the request has no answer (a produce with acks=0).
type reply interface {
	// ready says whether write can be called now.
	ready() bool
	// await returns when write can be called. It is called by the write loop only. It is false
	// if the connection ended first: then the reply holds nothing any more that others share.
	await(w *waiting) bool
	// write appends the response frame.
	write(out *output)
	// weight is about the memory that this reply holds while it waits, in bytes.
	weight() int
}

// partWeight is the weight of one partition in a reply.
const partWeight = 96

// waiting is what a write loop waits with. One channel and one timer serve every reply of a
// connection, since only the foremost is ever waited for.
type waiting struct {
	ctx   context.Context // of the connection
	drain <-chan struct{} // closed when the server wants to be done
	wake  chan struct{}   // capacity 1, may carry a wake-up from earlier
	timer *time.Timer
}

func newWaiting(ctx context.Context, drain <-chan struct{}) *waiting {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &waiting{ctx: ctx, drain: drain, wake: make(chan struct{}, 1), timer: t}
}

// until waits for a wake-up. It is false at the given time, and when the connection ends.
func (w *waiting) until(t time.Time) bool {
	w.timer.Reset(time.Until(t))
	defer w.timer.Stop()
	select {
	case <-w.wake:
		return true
	case <-w.timer.C:
		return false
	case <-w.ctx.Done():
		return false
	}
}

// untilDrain is until, and false too when the server is being closed.
func (w *waiting) untilDrain(t time.Time) bool {
	w.timer.Reset(time.Until(t))
	defer w.timer.Stop()
	select {
	case <-w.wake:
		return true
	case <-w.timer.C:
		return false
	case <-w.ctx.Done():
		return false
	case <-w.drain:
		return false
	}
}

// answer is a reply that was known at once, encoded already so that its size is known.
type answer struct{ frame []byte }

func (r *request) answer(resp kmsg.Response) reply {
	return answer{r.appendResponse(nil, resp)}
}

func (a answer) ready() bool         { return true }
func (a answer) await(*waiting) bool { return true }
func (a answer) write(out *output)   { out.add(a.frame) }
func (a answer) weight() int         { return len(a.frame) }

// hangUp is the reply that closes the connection.
type hangUp struct{ why error }

func (hangUp) ready() bool         { return true }
func (hangUp) await(*waiting) bool { return true }
func (hangUp) write(*output)       {}
func (hangUp) weight() int         { return 0 }

// promise is a response that may be sent once changes are on disk.
type promise struct {
	request *request
	resp    kmsg.Response
	open    []pledge // not known to be on disk, in order
	limit   time.Time
	heavy   int // weight, which stays as it is once the reply is handed to the write loop
}

// pledge is one change that must be on disk, and what to do to the response if it fails.
type pledge struct {
	confirm broker.Confirm
	failed  func(code)
}

// forever is further away than any request may wait.
const forever = 365 * 24 * time.Hour

// promise returns the reply that sends resp when all of open are on disk. It weighs what the
// request did, whose names it repeats.
func (r *request) promise(resp kmsg.Response, open []pledge) *promise {
	heavy := r.size + partWeight*(1+len(open))
	return &promise{request: r, resp: resp, open: open, limit: r.arrived.Add(forever), heavy: heavy}
}

func (p *promise) ready() bool {
	for len(p.open) > 0 {
		confirm := p.open[0].confirm
		err := confirm.Err() // nil as well while it is not known
		if err == nil && !confirm.Done() {
			return false
		}
		p.settle(codeOf(err))
	}
	return true
}

// settle ends the first pledge with a code, 0 for success.
func (p *promise) settle(c code) {
	if c != errNone {
		p.open[0].failed(c)
	}
	p.open = p.open[1:]
}

func (p *promise) await(w *waiting) bool {
	for !p.ready() {
		p.latest().Notify(w.wake)
		if w.until(p.limit) || p.ready() {
			continue
		}
		if w.ctx.Err() != nil {
			return false
		}
		for len(p.open) > 0 {
			p.settle(errRequestTimedOut)
		}
	}
	return true
}

// latest is the last change that is not on disk: mostly that is the last of all to get there, and
// one wake-up is enough. (A repeated batch, with its original's confirm, may be out of order.)
func (p *promise) latest() broker.Confirm {
	for i := len(p.open) - 1; i > 0; i-- {
		if c := p.open[i].confirm; !c.Done() {
			return c
		}
	}
	return p.open[0].confirm
}

func (p *promise) weight() int { return p.heavy }

func (p *promise) write(out *output) {
	out.scratch = p.request.appendResponse(out.scratch, p.resp)
}

// deferred is a response that somebody else will complete: the members of a group that is
// gathering. The change it stands for may then still have to reach the disk.
type deferred struct {
	request *request
	done    chan struct{} // closed by complete
	then    *promise      // set before done is closed
	sent    func()        // called when the response is, if set; set before done is closed
}

func (r *request) later() *deferred {
	return &deferred{request: r, done: make(chan struct{})}
}

// complete sets the response, to be sent when all of open are on disk. It is called once.
func (d *deferred) complete(resp kmsg.Response, open ...pledge) {
	d.then = d.request.promise(resp, open)
	close(d.done)
}

func (d *deferred) ready() bool {
	select {
	case <-d.done:
		return d.then.ready()
	default:
		return false
	}
}

func (d *deferred) await(w *waiting) bool {
	select {
	case <-d.done:
		return d.then.await(w)
	case <-w.ctx.Done():
		return false
	}
}

func (d *deferred) weight() int { return smallBuffer }

func (d *deferred) write(out *output) {
	d.then.write(out)
	if d.sent != nil {
		d.sent()
	}
}
