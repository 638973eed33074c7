package amqp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/tidings-io/tidings/tests/clients/server"
)

const (
	queue   = "jobs"
	window  = 200    // publishes that wait for their confirm
	credit  = 100    // deliveries that wait for their ack
	backlog = 20_000 // messages confirmed and not acknowledged: the publisher is the faster one
	patient = 60 * time.Second
	// lately is how long before a kill an ack may have been sent that was not on disk.
	lately = time.Second
)

// story is what publishers and the consumer saw. Messages are numbers.
type story struct {
	mu        sync.Mutex
	next      int
	confirmed map[int]bool
	delivered map[int]int       // how often
	missing   int               // confirmed and not delivered
	acked     map[int]time.Time // when the first ack was sent
	wrong     []string
	kill      time.Time // the last
	session   int       // of the consumer
	progress  chan struct{}
	consumed  *sync.Cond // with mu: another message was acknowledged
}

func (s *story) tell(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	select {
	case s.progress <- struct{}{}:
	default:
	}
}

// TestConfirmedMessagesSurviveSIGKILL kills the program at random moments while a publisher waits
// for confirms and a consumer acknowledges. Every confirmed message is delivered; one that was
// acknowledged comes back only if its ack was sent shortly before the kill, and then says that it
// was delivered before; order holds.
func TestConfirmedMessagesSurviveSIGKILL(t *testing.T) {
	s := server.Start(t)
	st := &story{confirmed: map[int]bool{}, delivered: map[int]int{}, acked: map[int]time.Time{},
		progress: make(chan struct{}, 1)}
	st.consumed = sync.NewCond(&st.mu)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	publishing, stop := context.WithCancel(ctx)
	var crew sync.WaitGroup
	crew.Go(func() { again(publishing, func() error { return st.publish(publishing, s.AMQP) }) })
	crew.Go(func() { again(ctx, func() error { return st.consume(ctx, s.AMQP) }) })
	for range *kills {
		st.await(t, 500)
		// The moment of the kill must not depend on anything that the program does.
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		s.Kill()
		st.tell(func() { st.kill = time.Now() })
		s.Restart()
	}
	stop()
	st.awaitAll(t)
	end()
	crew.Wait()
	st.judge(t)
}

// again runs a client until the context ends, and anew when it has lost its connection.
func again(ctx context.Context, client func() error) {
	for ctx.Err() == nil {
		_ = client() // what it lost is judged by what it saw
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// await waits until so many more messages have been acknowledged.
func (s *story) await(t *testing.T, more int) {
	t.Helper()
	limit := time.After(patient)
	s.mu.Lock()
	want := len(s.acked) + more
	s.mu.Unlock()
	for {
		s.mu.Lock()
		got := len(s.acked)
		s.mu.Unlock()
		if got >= want {
			return
		}
		select {
		case <-s.progress:
		case <-limit:
			t.Fatalf("%d messages were acknowledged within %v, want %d", got, patient, want)
		}
	}
}

// awaitAll waits until everything that was confirmed has been delivered.
func (s *story) awaitAll(t *testing.T) {
	t.Helper()
	limit := time.After(patient)
	for {
		s.mu.Lock()
		missing := s.missing
		s.mu.Unlock()
		if missing == 0 {
			return
		}
		select {
		case <-s.progress:
		case <-limit:
			t.Fatalf("%d confirmed messages were not delivered within %v", missing, patient)
		}
	}
}

func (s *story) judge(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Logf("%d messages published, %d confirmed, %d delivered, %d acknowledged, %d sessions of the consumer",
		s.next, len(s.confirmed), len(s.delivered), len(s.acked), s.session)
	for i, w := range s.wrong {
		if i == 20 {
			t.Errorf("and %d more", len(s.wrong)-i)
			break
		}
		t.Error(w)
	}
}

// publish sends persistent messages until its connection ends.
func (s *story) publish(ctx context.Context, url string) error {
	c, err := amqp091.Dial(url)
	if err != nil {
		return err
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	room := make(chan struct{}, window)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer c.Close() // before the wait: it ends the confirms
	for ctx.Err() == nil && !ch.IsClosed() {
		room <- struct{}{}
		n := 0
		s.tell(func() {
			for len(s.confirmed)-len(s.acked) > backlog {
				s.consumed.Wait()
			}
			n, s.next = s.next, s.next+1
		})
		confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false,
			amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: []byte(strconv.Itoa(n))})
		if err != nil {
			return err
		}
		waiting.Go(func() {
			select {
			case <-confirm.Done():
				if confirm.Acked() {
					s.tell(func() {
						s.confirmed[n] = true
						if s.delivered[n] == 0 {
							s.missing++
						}
					})
				}
			case <-time.After(patient):
			}
			<-room
		})
	}
	return nil
}

// consume acknowledges each message on its own, until its connection ends.
func (s *story) consume(ctx context.Context, url string) error {
	c, err := amqp091.Dial(url)
	if err != nil {
		return err
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		return err
	}
	if err := ch.Qos(credit, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	s.tell(func() { s.session++ })
	last := -1
	for d := range deliveries {
		n, err := strconv.Atoi(string(d.Body))
		if err != nil {
			return err
		}
		s.tell(func() {
			s.see(n, d.Redelivered, &last)
			if _, ok := s.acked[n]; !ok {
				s.acked[n] = time.Now()
				s.consumed.Signal()
			}
		})
		if err := d.Ack(false); err != nil {
			return err
		}
	}
	return nil
}

// see judges one delivery. Within a session messages come in order: what was delivered before and
// not acknowledged lies before what is new.
func (s *story) see(n int, redelivered bool, last *int) {
	wrong := func(format string, args ...any) {
		s.wrong = append(s.wrong, fmt.Sprintf("session %d: message %d: ", s.session, n)+fmt.Sprintf(format, args...))
	}
	if s.delivered[n] == 0 && s.confirmed[n] {
		s.missing--
	}
	if s.delivered[n]++; s.delivered[n] > 1 && !redelivered {
		wrong("delivered for the %d. time and not said to be", s.delivered[n])
	}
	if at, ok := s.acked[n]; ok && at.Before(s.kill.Add(-lately)) {
		wrong("it was acknowledged %v before the kill", s.kill.Sub(at))
	}
	if n <= *last {
		wrong("after %d", *last)
	}
	*last = n
}
