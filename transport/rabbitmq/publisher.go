package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// publisher owns one channel in confirm mode, and ends with it. Two goroutines share it: the writer
// writes what callers hand over, one at a time, so that the order of publishes is that in which they
// were handed over, and as many are in flight as there is room; the collector tells callers of
// confirms, in whatever order these come, and makes room. A queue that confirms nothing, since the
// majority of its nodes is gone, keeps only those waiting who publish to it.
//
// A message that nobody takes comes back before its confirm, on the same channel. The collector
// receives returns and looks for confirms in one select, and the library hands the one over before
// it reads the other: when a confirm is seen, its return has been.
type publisher struct {
	s       *session
	ch      *amqp.Channel
	handed  chan *pending
	room    chan struct{} // holds what is in flight
	written chan *pending // from the writer to the collector
	returns chan amqp.Return
	closed  chan *amqp.Error
	dead    chan struct{} // closed by the writer: nothing more is taken

	returned map[int64]string // of the collector: by the mark of a publish, why it came back
	forgot   sync.Once
}

// pending is a message on its way.
type pending struct {
	ctx       context.Context
	exchange  string
	key       string
	mandatory bool // returned unless some queue takes it
	message   amqp.Publishing
	mark      int64 // of a mandatory one
	confirm   confirmation
	done      chan error // takes one
}

// confirmation is an *amqp.DeferredConfirmation.
type confirmation interface {
	Done() <-chan struct{}
	Acked() bool
}

// markHeader tells returned messages apart: their id does not, where one event is on its way twice.
const markHeader = "tidings-publish"

var (
	errRefused  = errors.New("rabbitmq: the broker refused the message: a queue is full")
	errSilence  = errors.New("rabbitmq: the broker has confirmed nothing for too long")
	errReturned = errors.New("rabbitmq: no queue took the message")
)

// publishing is the session's publisher, a new one where the last one's channel has been closed.
func (s *session) publishing(ctx context.Context) (*publisher, error) {
	if p := s.ownPublisher(); p != nil {
		return p, nil
	}
	err := s.do(ctx, func() error {
		if s.ownPublisher() != nil {
			return nil
		}
		p, err := newPublisher(s)
		if err != nil {
			return fmt.Errorf("rabbitmq: open a channel: %w", err)
		}
		s.mu.Lock()
		s.publisher = p
		s.mu.Unlock()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if p := s.ownPublisher(); p != nil {
		return p, nil
	}
	return nil, s.gone("publish")
}

func (s *session) ownPublisher() *publisher {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.publisher == nil || s.publisher.isDead() {
		return nil
	}
	return s.publisher
}

func newPublisher(s *session) (*publisher, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, err
	}
	most := s.config.Limits.InFlight
	p := &publisher{s: s, ch: ch, handed: make(chan *pending), room: make(chan struct{}, most),
		written: make(chan *pending), dead: make(chan struct{}), returned: map[int64]string{}}
	p.closed = ch.NotifyClose(make(chan *amqp.Error, 1))
	p.returns = ch.NotifyReturn(make(chan amqp.Return)) // without a buffer: see publisher
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	s.loops.Go(p.write)
	s.loops.Go(p.collect)
	return p, nil
}

func (p *publisher) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return p.ch.IsClosed()
	}
}

// hand gives a message to the writer. Its outcome is sent to done unless hand fails.
func (p *publisher) hand(ctx context.Context, m *pending) error {
	m.ctx, m.done = ctx, make(chan error, 1)
	select {
	case p.handed <- m:
		return nil
	case <-p.dead:
		return p.s.gone("publish")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gone is the error of who came too late.
func (s *session) gone(what string) error {
	if s.isLost() {
		return s.why()
	}
	return fmt.Errorf("rabbitmq: %s: %w", what, amqp.ErrClosed)
}

func (p *publisher) write() {
	defer close(p.written)
	defer close(p.dead)
	for mark := int64(1); ; mark++ {
		select {
		case m := <-p.handed:
			if !p.writeOne(m, mark) {
				p.mourn(<-p.closed)
				return
			}
		case why := <-p.closed:
			p.mourn(why)
			return
		}
	}
}

func (p *publisher) mourn(why *amqp.Error) {
	if why != nil && !p.s.isLost() {
		p.forget()
		p.s.log.Warn("rabbitmq: the broker closed a channel", "error", why)
	}
}

// forget has everything declared again where the broker closed the channel: mostly an exchange is gone.
// It comes before anybody is told, since he may publish again at once.
func (p *publisher) forget() {
	if p.ch.IsClosed() && !p.s.isLost() {
		p.forgot.Do(p.s.forget)
	}
}

// writeOne says whether the channel can go on.
func (p *publisher) writeOne(m *pending, mark int64) bool {
	if err := p.admit(m.ctx); err != nil {
		m.done <- err
		return !p.ch.IsClosed()
	}
	if m.mandatory {
		m.mark = mark
		m.message.Headers[markHeader] = mark
	}
	confirm, err := p.ch.PublishWithDeferredConfirm(m.exchange, m.key, m.mandatory, false, m.message)
	m.confirm = confirm
	if err != nil {
		p.forget()
		<-p.room
		m.done <- fmt.Errorf("rabbitmq: publish: %w", err)
		return !p.ch.IsClosed()
	}
	p.written <- m
	return true
}

// admit waits until the broker lets us write and there is room for one more.
func (p *publisher) admit(ctx context.Context) error {
	select {
	case <-p.s.writable():
	case <-ctx.Done():
		return ctx.Err()
	case <-p.s.lost:
		return p.s.why()
	}
	silence := time.NewTimer(p.s.config.Limits.Silence)
	defer silence.Stop()
	select {
	case p.room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.s.lost:
		return p.s.why()
	case <-silence.C:
		_ = p.ch.Close() // those in flight end as not published, which they may be
		return errSilence
	}
}

// collect ends when the writer has, and everything in flight is told of its end.
func (p *publisher) collect() {
	confirmed, inFlight := make(chan *pending), 0
	for written := p.written; written != nil || inFlight > 0; {
		select {
		case m, ok := <-written:
			if !ok {
				written = nil
				continue
			}
			inFlight++
			p.s.loops.Go(func() {
				<-m.confirm.Done() // also when the channel is closed
				confirmed <- m
			})
		case m := <-confirmed:
			inFlight--
			m.done <- p.outcome(m)
			<-p.room
		case r, ok := <-p.returns:
			p.took(r, ok)
		}
	}
}

func (p *publisher) took(r amqp.Return, ok bool) {
	if !ok {
		p.returns = nil // the channel has been closed
		return
	}
	if mark, ok := r.Headers[markHeader].(int64); ok {
		p.returned[mark] = r.ReplyText
	}
}

func (p *publisher) outcome(m *pending) error {
	why, returned := p.returned[m.mark]
	delete(p.returned, m.mark)
	switch {
	case returned:
		return fmt.Errorf("%w: %s", errReturned, why)
	case m.confirm.Acked():
		return nil
	case p.ch.IsClosed(): // the library answers for the broker then
		p.forget()
		return p.s.gone("publish")
	default:
		return errRefused
	}
}

// wait is the outcome of a message that was handed over.
func (m *pending) wait(ctx context.Context) error {
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
