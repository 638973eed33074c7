package tidings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// failureType is the type of an answer that says why there is none.
const failureType = "tidings.failure"

// repliesAtOnce is how many answers are received at once.
const repliesAtOnce = 256

// RemoteError is that of a request whose handler gave up: the request is among the dead letters of
// its group.
type RemoteError struct {
	Group  string `json:"group"`
	Reason string `json:"reason"` // the handler's last error
}

// Error tells the group and its reason.
func (e *RemoteError) Error() string { return "group " + e.Group + ": " + e.Reason }

// Request publishes a command and waits for the answer of its Replier, until ctx ends: give it a
// deadline. The error is a *RemoteError where the handler gave up, and ErrUnsupported where the
// transport has no Temporary groups. The service must run, and Request waits until it does; once
// it has ended, requests fail with ErrClosed.
//
// Answers come to an address that the service makes with its first request and keeps for itself.
// Those that come when nobody waits any longer are dropped, and those that come while the service
// has lost its broker may be. A request that timed out may have been handled, or be handled later.
func Request[R any](ctx context.Context, s *Service, request Event, answer *Type[R]) (R, error) {
	var none R
	if request.Kind != KindCommand {
		return none, fmt.Errorf("request %s: %w: it is no command", request.Type, ErrType)
	}
	got, err := s.replies.ask(ctx, request)
	if err != nil {
		return none, fmt.Errorf("request %s: %w", request.Type, err)
	}
	return answer.Decode(got)
}

// Replier leads commands of a type to fn and publishes what it returns to who asked; a command
// that asks for no answer is handled all the same. The answer is published before the command is
// done, and a command that is handled again is answered with the same id. When fn has failed for
// good, who asked gets a *RemoteError. Where he is gone nobody is told.
func Replier[Q, R any](c *Command[Q], answer *Type[R],
	fn func(ctx context.Context, m Msg[Q]) (R, error)) Route {
	r := one(c, func(ctx context.Context, m Msg[Q]) error {
		data, err := fn(ctx, m)
		if err != nil || m.ReplyTo == "" {
			return err
		}
		return reply(ctx, &m.Event, answer.New(data, WithID(DerivedID("reply", m.Source, m.ID))))
	})
	r.reply = answer
	return r
}

// reply publishes the answer to a request. That nobody waits for it is no error.
func reply(ctx context.Context, request *Event, answer Event) error {
	p := hopOf(ctx).publisher
	if p == nil {
		return errors.New("answer: the handler does not run in a service")
	}
	answer.Kind, answer.Topic, answer.Key = KindReply, request.ReplyTo, request.Key
	err := p.Publish(ctx, answer)
	if errors.Is(err, ErrUnroutable) {
		return nil
	}
	return err
}

// replyFailure tells who asked that there will be no answer. It is tried once: who asked does not
// wait forever.
func (s *subscription) replyFailure(it *item, why error) {
	if it.d.ReplyTo == "" || it.d.Kind != KindCommand {
		return
	}
	payload, _ := json.Marshal(&RemoteError{s.name, cut(why.Error(), maxReason)}) // two strings
	failure := Event{ID: DerivedID("failure", it.d.Source, it.d.ID), Type: failureType,
		Time: time.Now().UTC(), ContentType: JSON.ContentType(), Payload: payload}
	if err := reply(s.handling(s.base, &it.d.Event), &it.d.Event, failure); err != nil {
		s.troubled("answer with a failure", it.d, err)
	}
}

// replies is the address of a service for answers, and who waits for which. Run receives them, from
// the first request on.
type replies struct {
	s       *Service
	address string
	wanted  chan struct{} // closed with the first request
	once    sync.Once
	there   chan struct{} // closed when the address is
	made    sync.Once
	over    chan struct{} // closed when nothing is received any more

	mu      sync.Mutex
	waiting map[string]chan<- Event
}

func newReplies(s *Service) *replies {
	return &replies{s: s, address: s.name + ".replies." + NewID(), wanted: make(chan struct{}),
		there: make(chan struct{}), over: make(chan struct{}), waiting: map[string]chan<- Event{}}
}

// ask publishes a request and waits for what answers it.
func (r *replies) ask(ctx context.Context, request Event) (Event, error) {
	if err := r.await(ctx); err != nil {
		return Event{}, err
	}
	answers := make(chan Event, 1)
	if err := r.expect(request.ID, answers); err != nil {
		return Event{}, err
	}
	defer r.forget(request.ID, answers)
	request.ReplyTo = r.address
	if err := r.s.Publish(ctx, request); err != nil {
		return Event{}, err
	}
	select {
	case e := <-answers:
		return e, failureOf(&e)
	case <-r.over:
		return Event{}, ErrClosed
	case <-ctx.Done():
		return Event{}, context.Cause(ctx)
	}
}

// await waits for the address.
func (r *replies) await(ctx context.Context) error {
	if !r.s.capabilities.Temporary {
		return fmt.Errorf("a group for answers: %w", ErrUnsupported)
	}
	r.once.Do(func() { close(r.wanted) })
	select {
	case <-r.there:
		return nil
	case <-r.over:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *replies) expect(id string, answers chan<- Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[id] != nil {
		return fmt.Errorf("id %s has been asked and not answered yet", id)
	}
	r.waiting[id] = answers
	return nil
}

// forget ends the waiting of one who asked: another may ask with his id by now.
func (r *replies) forget(id string, answers chan<- Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[id] == answers {
		delete(r.waiting, id)
	}
}

// failureOf is the error that an answer stands for.
func failureOf(e *Event) error {
	if e.Type != failureType {
		return nil
	}
	remote := &RemoteError{}
	if err := json.Unmarshal(e.Payload, remote); err != nil {
		return fmt.Errorf("read a failure: %w", err)
	}
	return remote
}

// run receives answers from the first request on, until ctx ends.
func (r *replies) run(ctx context.Context) {
	defer close(r.over)
	select {
	case <-ctx.Done():
		return
	case <-r.wanted:
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := r.read(ctx, &pause)
		if ctx.Err() != nil {
			return
		}
		r.s.log.Warn("no answers are received, subscribing again", "service", r.s.name, "err", err)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// read subscribes and receives until that fails.
func (r *replies) read(ctx context.Context, pause *time.Duration) error {
	c, err := r.s.transport.Subscribe(ctx, Subscription{Group: r.address, Temporary: true})
	if err != nil {
		return err
	}
	defer r.close(ctx, c)
	*pause = firstPause
	r.made.Do(func() { close(r.there) })
	return r.receive(ctx, c)
}

func (r *replies) receive(ctx context.Context, c Consumer) error {
	for {
		ds, err := c.Receive(ctx, repliesAtOnce)
		if err != nil {
			return err
		}
		for _, d := range ds {
			r.answer(&d.Event)
			if err := d.Ack(ctx); err != nil {
				r.s.log.Debug("acknowledge an answer", "service", r.s.name, "err", err)
			}
		}
	}
}

// answer hands an answer to who waits for it. It may come twice: the first counts.
func (r *replies) answer(e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.waiting[e.Causation]; c != nil {
		c <- *e // has room: nobody else finds c
		delete(r.waiting, e.Causation)
	}
}

func (r *replies) close(ctx context.Context, c Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		r.s.log.Debug("close the address for answers", "service", r.s.name, "err", err)
	}
}
