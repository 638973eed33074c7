package aws

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"sync"

	"github.com/tidings-io/tidings/broker"
)

// The states of a task.
const (
	moveRuns      = "RUNNING"
	moveCompleted = "COMPLETED"
	moveCanceling = "CANCELLING"
	moveCancelled = "CANCELLED"
	moveFailed    = "FAILED"
)

// moveTask is what is remembered of one: a fact of the broker, under the name of its queue and its id.
type moveTask struct {
	ID      string
	Number  int64     // in the order of the tasks of the queue
	Source  string    // the name of the queue
	Queue   broker.ID // which tells it from one of the same name that was made later
	Target  string    // "": the queue that each message came from
	Rate    int32     // messages a second; 0: as fast as they go
	Started int64     // ms
	ToMove  int64     // how many waited then: it moves no more, or those that come back would go round
	Moved   int64
	Status  string
	Reason  string // why it has failed
}

// moveFacts is the space of facts of tasks.
const moveFacts = "sqs.move"

func (t *moveTask) key() string { return t.Source + "/" + t.ID }

func (t *moveTask) put(tx *broker.Tx) {
	b, err := encodeJSON(t)
	if err != nil {
		panic("aws: a task is not JSON: " + err.Error())
	}
	tx.PutFact(moveFacts, t.key(), b)
}

// mover moves messages out of dead letter queues: one goroutine for each task that runs, which alone
// changes what is on disk of it. A batch of messages, and how many it makes, is one Tx: so none is lost and
// none is there twice, and a task goes on where it was after a restart.
type mover struct {
	s    *Server
	work sync.WaitGroup

	mu     sync.Mutex
	tasks  map[string][]*moving // by the name of the queue, the newest first
	active int
	closed bool
}

// moving is a task, and what ends it while it is active.
type moving struct {
	task  moveTask // guarded by mover.mu; written by the task's goroutine, but for the status
	ctx   context.Context
	stop  context.CancelFunc
	ended chan struct{} // closed when it is not active any more
}

// load reads the tasks that there were; those of queues that are gone are forgotten.
func (m *mover) load(s *Server) error {
	m.s, m.tasks = s, map[string][]*moving{}
	tx := m.s.b.Begin()
	defer tx.Release()
	for key, value := range m.s.b.Facts(moveFacts).All("") {
		t := moveTask{}
		err := json.Unmarshal(value, &t)
		if q, gone := m.s.queueNamed(t.Source); err != nil || gone != nil || q.ID() != t.Queue {
			tx.DeleteFact(moveFacts, key)
			continue
		}
		x := m.add(t)
		if m.tasks[t.Source] = append(m.tasks[t.Source], x); !x.active() {
			x.stop()
		}
	}
	for _, list := range m.tasks {
		slices.SortFunc(list, func(a, b *moving) int { return cmp.Compare(b.task.Number, a.task.Number) })
	}
	return commit(context.Background(), tx)
}

// resume goes on with those that had not come to an end.
func (m *mover) resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, list := range m.tasks {
		for _, x := range list {
			if x.active() {
				m.active++
				m.work.Go(func() { m.run(x) })
			}
		}
	}
}

func (m *mover) add(t moveTask) *moving {
	x := &moving{task: t, ended: make(chan struct{})}
	x.ctx, x.stop = context.WithCancel(m.s.closing)
	return x
}

// start begins a task, and returns its id when that is on disk.
func (m *mover) start(ctx context.Context, t moveTask) (id string, err error) {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	t.ID, t.Status, t.Started = formatUUID(u), moveRuns, m.s.config.Now().UnixMilli()
	x, forgotten, err := m.reserve(t)
	if err != nil {
		return "", err
	}
	tx := m.s.b.Begin()
	defer tx.Release()
	t.put(tx)
	for _, old := range forgotten {
		tx.DeleteFact(moveFacts, old.task.key())
	}
	if err := commit(ctx, tx); err != nil {
		m.drop(x)
		return "", err
	}
	if !m.launch(x) {
		return "", errorf(unavailable, "The server closes.") // and goes on with it later
	}
	return t.ID, nil
}

// reserve makes a task the newest of its queue, and says which of the older ones are forgotten for it.
func (m *mover) reserve(t moveTask) (x *moving, forgotten []*moving, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.tasks[t.Source]
	for _, old := range list {
		if old.active() && old.task.Queue == t.Queue {
			return nil, nil, errorf(invalidParameter, "There is already a task running. Only one active task is "+
				"allowed for a source queue arn at a given time.")
		}
	}
	if limit := m.s.config.Limits.MoveTasks; m.active >= limit {
		return nil, nil, errorf(throttled, "There are %d active message move tasks, which is the limit.", m.active)
	}
	keep := list[:0:0]
	for _, old := range list {
		if old.task.Queue == t.Queue && len(keep) < maxMoveList-1 {
			keep = append(keep, old)
		} else if !old.active() {
			forgotten = append(forgotten, old)
		}
	}
	if len(list) > 0 {
		t.Number = list[0].task.Number + 1
	}
	x = m.add(t)
	m.tasks[t.Source] = append([]*moving{x}, keep...)
	m.active++
	return x, forgotten, nil
}

func (x *moving) active() bool { return x.task.Status == moveRuns || x.task.Status == moveCanceling }

// drop takes back what was reserved.
func (m *mover) drop(x *moving) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := x.task.Source
	m.tasks[name] = slices.DeleteFunc(m.tasks[name], func(y *moving) bool { return x == y })
	m.endLocked(x)
}

func (m *mover) endLocked(x *moving) {
	m.active--
	x.stop()
	close(x.ended)
}

// launch runs a task, unless the mover is closed.
func (m *mover) launch(x *moving) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		m.endLocked(x)
		return false
	}
	m.work.Go(func() { m.run(x) })
	return true
}

// close waits until no task runs; those that have not come to their end go on after the next start.
func (m *mover) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.work.Wait()
}

// list returns the newest tasks of a queue, at most n of them.
func (m *mover) list(q *broker.Queue, n int) (all []moveTask) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.tasks[q.Name().Name] {
		if x.task.Queue == q.ID() && len(all) < n {
			all = append(all, x.task)
		}
	}
	return all
}

// forget drops the tasks of a queue that is gone. One that is active ends by itself, and the next start forgets it.
func (m *mover) forget(ctx context.Context, q *broker.Queue) error {
	tx := m.s.b.Begin()
	if !m.forgetIn(tx, q) {
		return nil
	}
	return commit(ctx, tx)
}

// forgetIn says whether there is anything to forget on disk.
func (m *mover) forgetIn(tx *broker.Tx, q *broker.Queue) (found bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := q.Name().Name
	m.tasks[name] = slices.DeleteFunc(m.tasks[name], func(x *moving) bool {
		gone := x.task.Queue == q.ID() && !x.active()
		if gone {
			tx.DeleteFact(moveFacts, x.task.key())
			found = true
		}
		return gone
	})
	if len(m.tasks[name]) == 0 {
		delete(m.tasks, name)
	}
	return found
}

// cancel ends a task and returns how many messages it has moved.
func (m *mover) cancel(ctx context.Context, q *broker.Queue, id string) (moved int64, err error) {
	x, err := m.cancelling(q, id)
	if err != nil {
		return 0, err
	}
	select {
	case <-x.ended:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return x.task.Moved, nil
}

func (m *mover) cancelling(q *broker.Queue, id string) (*moving, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.tasks[q.Name().Name] {
		if x.task.ID != id || x.task.Queue != q.ID() {
			continue
		}
		if !x.active() {
			return nil, errorf(invalidParameter, "Only active tasks can be cancelled: this one is %s.", x.task.Status)
		}
		x.task.Status = moveCanceling
		x.stop()
		return x, nil
	}
	return nil, errorf(noResource, "Task does not exist.")
}
