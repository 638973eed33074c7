package tidings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Service is a participant: the groups that it reads with their handlers, and the source of what
// it publishes. Options, Subscribe and Produces come first, then Run; Publish works at any time.
// A Service is safe for use by many goroutines.
type Service struct {
	name         string
	transport    Transport
	capabilities Capabilities
	publisher    Publisher // what the options made of the transport
	log          *slog.Logger
	middleware   wrapping
	drain        time.Duration
	observer     Observer
	ready        chan struct{}

	mu       sync.Mutex
	declared []declared
	produces []Described
	subs     []*subscription // of Run
	stage    runStage
	replies  *replies
}

// declared is one call of Subscribe.
type declared struct {
	policy Policy
	routes []Route
}

// runStage is how far a service has come.
type runStage uint8

const (
	idle runStage = iota
	working
	ended
)

// DefaultDrain is how long Run lets handlers finish unless WithDrain says otherwise.
const DefaultDrain = 30 * time.Second

// Option changes what NewService makes.
type Option func(*Service)

// WithLogger logs elsewhere than to slog.Default().
func WithLogger(l *slog.Logger) Option { return func(s *Service) { s.log = l } }

// WithMiddleware wraps every handler but those of batches, the first outermost. Each attempt passes
// through it, within the policy's timeout.
func WithMiddleware(m ...Middleware) Option {
	return func(s *Service) { s.middleware.one = append(s.middleware.one, m...) }
}

// WithBatchMiddleware wraps every batch handler, the first outermost.
func WithBatchMiddleware(m ...BatchMiddleware) Option {
	return func(s *Service) { s.middleware.batch = append(s.middleware.batch, m...) }
}

// WithPublisher wraps what the service publishes through, already stamped; for PublishAt as well
// where the result is a Scheduler. Dead letters go to the transport itself.
func WithPublisher(wrap func(Publisher) Publisher) Option {
	return func(s *Service) { s.publisher = wrap(s.publisher) }
}

// WithDrain bounds how long Run lets handlers finish after its context ended; they have a second
// more to return when their own contexts have ended then.
func WithDrain(d time.Duration) Option { return func(s *Service) { s.drain = d } }

// WithObserver tells an observer what happens, after those of earlier options.
func WithObserver(o Observer) Option {
	return func(s *Service) { s.observer = s.observer.and(o.guarded(s)) }
}

// NewService makes a service on a transport, which it does not close. The name is the source of
// its events and the group of its subscriptions.
func NewService(name string, t Transport, opts ...Option) *Service {
	s := &Service{name: name, transport: t, capabilities: t.Capabilities(), publisher: t,
		log: slog.Default(), drain: DefaultDrain, ready: make(chan struct{})}
	s.replies = newReplies(s)
	for _, o := range opts {
		o(s)
	}
	return s
}

// Name is the name of the service.
func (s *Service) Name() string { return s.name }

// Subscribe leads events and commands to handlers, by a policy. Events are read by the policy's
// group, commands by the groups that are their addresses; each group is read once, whatever the
// number of calls that add routes to it, and has one policy. What is wrong with a policy or route
// is the error of Run, before anything is read. It has no effect once Run was called.
func (s *Service) Subscribe(p Policy, routes ...Route) *Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != idle {
		s.log.Error("subscribe has no effect once the service was run", "service", s.name)
		return s
	}
	s.declared = append(s.declared, declared{p, slices.Clone(routes)})
	return s
}

// Produces declares what the service publishes, for its topology.
func (s *Service) Produces(types ...Described) *Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.produces = append(s.produces, types...)
	return s
}

// Publish publishes events, commands and replies. They get the service as their source and
// continue the conversation of ctx, see Stamp. Errors are the transport's; an event that could not
// be encoded keeps all of them from being published.
func (s *Service) Publish(ctx context.Context, events ...Event) error {
	return s.publish(ctx, time.Time{}, events, s.publisher.Publish)
}

// PublishAt publishes at a later time, which Capabilities.MaxSchedule bounds.
func (s *Service) PublishAt(ctx context.Context, at time.Time, events ...Event) error {
	scheduler, ok := s.publisher.(Scheduler)
	if !ok {
		scheduler = s.transport
	}
	return s.publish(ctx, at, events, func(ctx context.Context, events ...Event) error {
		return scheduler.PublishAt(ctx, at, events...)
	})
}

func (s *Service) publish(ctx context.Context, at time.Time, events []Event,
	publish func(context.Context, ...Event) error) error {
	stamped := slices.Clone(events)
	for i := range stamped {
		if err := stamped[i].err; err != nil {
			return &PublishError{Failed: all(len(events)), Err: err}
		}
		Stamp(ctx, s.name, &stamped[i])
	}
	begun := s.observer.begin()
	err := publish(ctx, stamped...)
	s.observer.published(stamped, at, begun, err)
	return err
}

func all(n int) []int {
	indexes := make([]int, n)
	for i := range indexes {
		indexes[i] = i
	}
	return indexes
}

// Ready is closed when everything is subscribed, and never where Run fails before that: who waits for
// it without Run's error waits for ever.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Health is how the service does now.
func (s *Service) Health() Health {
	s.mu.Lock()
	subs, stage := s.subs, s.stage
	s.mu.Unlock()
	h := Health{Service: s.name}
	select {
	case <-s.ready:
		h.Ready = stage == working
	default:
	}
	for _, sub := range subs {
		h.Subscriptions = append(h.Subscriptions, sub.health())
	}
	return h
}

// Run subscribes and handles until ctx ends. It returns an error before it handles anything where
// a policy or route is wrong, where the transport lacks what was asked for (ErrUnsupported), and
// where it cannot be reached; once it was, Run subscribes again as often as it takes. When ctx
// ends nothing more is received, handlers in progress finish with contexts that live on until the
// drain is over (see WithDrain), what was not handled is given back, and Run returns nil.
// A service runs once.
func (s *Service) Run(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	if err := s.open(ctx); err != nil {
		close(s.replies.over) // nobody will ever receive them
		if ctx.Err() != nil {
			return nil // it was told to end
		}
		return err
	}
	close(s.ready)
	return s.serve(ctx)
}

// begin makes the subscriptions.
func (s *Service) begin() error {
	groups, err := s.plan()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stage != idle:
		return fmt.Errorf("service %s has run: make another", s.name)
	case err != nil:
		s.stage = ended
		close(s.replies.over) // nobody will ever receive them
		return fmt.Errorf("service %s: %w", s.name, err)
	}
	s.stage = working
	for _, g := range groups {
		s.subs = append(s.subs, newSubscription(s, g))
	}
	return nil
}

func (s *Service) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stage = ended
}

// open subscribes all, or none.
func (s *Service) open(ctx context.Context) error {
	for i, sub := range s.subs {
		if err := sub.open(ctx); err != nil {
			for _, done := range s.subs[:i] {
				err = errors.Join(err, done.close())
			}
			for _, sub := range s.subs {
				sub.state.set(Stopped)
			}
			return fmt.Errorf("service %s: %w", s.name, err)
		}
	}
	return nil
}

// serve runs the subscriptions until ctx ends or one of them ends it, and then waits for answers
// no longer than handlers may ask.
func (s *Service) serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var once sync.Once
	errs := make([]error, len(s.subs)+1)
	fail := func(err error) {
		once.Do(func() { errs[len(s.subs)] = err })
		stop()
	}
	var subs, answers sync.WaitGroup
	asking, hush := context.WithCancel(context.WithoutCancel(ctx))
	answers.Go(func() { s.replies.run(asking) })
	for i, sub := range s.subs {
		sub.fail = fail
		subs.Go(func() { errs[i] = sub.run(ctx) })
	}
	<-ctx.Done()
	subs.Wait()
	hush()
	answers.Wait()
	return errors.Join(errs...)
}

// plan makes groups of what was declared, and refuses what cannot be.
func (s *Service) plan() ([]*group, error) {
	if s.name == "" {
		return nil, errors.New("no name was given to NewService")
	}
	groups, err := s.arrange()
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if err := g.check(s.capabilities); err != nil {
			return nil, fmt.Errorf("group %s: %w", g.name, err)
		}
		if g.deadLetters() == g.name {
			return nil, fmt.Errorf("group %s: its dead letters would come back to it", g.name)
		}
	}
	return groups, nil
}

// arrange sorts routes into groups, in the order of their declaration.
func (s *Service) arrange() (groups []*group, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.declared {
		for _, r := range d.routes {
			g := s.groupOf(&groups, d.policy, r)
			if !reflect.DeepEqual(g.policy, d.policy) {
				return groups, fmt.Errorf("group %s: it has two policies", g.name)
			}
			if err := g.add(r, s.middleware); err != nil {
				return groups, fmt.Errorf("group %s: %w", g.name, err)
			}
		}
	}
	return groups, nil
}

// groupOf finds or makes the group of a route.
func (s *Service) groupOf(groups *[]*group, p Policy, r Route) *group {
	name := p.Group
	if r.Kind == KindCommand {
		name = r.Topic
	} else if name == "" {
		name = s.name
	}
	for _, g := range *groups {
		if g.name == name {
			return g
		}
	}
	g := &group{name: name, policy: p, table: map[routeKey]*bound{}, rest: map[source]*bound{}}
	*groups = append(*groups, g)
	return g
}
