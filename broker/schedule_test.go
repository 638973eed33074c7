package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// delayProps reads properties that are a delay in ms, "500", and nothing else.
type delayProps struct{}

const delayFormat PropsFormat = 77

func (delayProps) Headers([]byte) Args                { return nil }
func (delayProps) Properties([]byte) Args             { return nil }
func (delayProps) TopicHeaders(*QueueRecord) []Header { return nil }
func (delayProps) Crossing(*QueueRecord) Args         { return nil }
func (delayProps) Property([]byte, string) string     { return "" }
func (delayProps) Delayed(props []byte) []byte        { return append([]byte("-"), props...) }
func (delayProps) Delay(props []byte) time.Duration {
	ms, err := strconv.ParseInt(string(props), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// delayed makes a record that asks for a delay in ms.
func delayed(body string, ms int) QueueRecord {
	return QueueRecord{Body: []byte(body), Format: delayFormat, Props: []byte(strconv.Itoa(ms))}
}

// planner is a broker with a delayed exchange that leads to a queue.
type planner struct {
	t       *testing.T
	fs      *vfs.Mem
	b       *Broker
	x       *Exchange
	q       *Queue
	durable bool
}

// plans runs a test of schedules where time is faked: durable, and in memory.
func plans(t *testing.T, do func(p *planner)) {
	t.Helper()
	for name, durable := range map[string]bool{"durable": true, "in memory": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &planner{t: t, fs: vfs.NewMem(), durable: durable}
				p.open()
				do(p)
				if err := p.b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func withDelays(c *Config) {
	c.Props = map[PropsFormat]PropsReader{delayFormat: delayProps{}}
}

func (p *planner) open() {
	p.t.Helper()
	p.b = openOn(p.t, p.fs, withDelays)
	p.x = p.exchange("later")
	p.q = p.queue("jobs")
	p.bind(p.x, p.q)
}

func (p *planner) exchange(name string) *Exchange {
	p.t.Helper()
	x, _, err := p.b.DeclareExchange(ctx, ExchangeSpec{Name: name, Type: delayedType,
		Durable: p.durable,
		Args:    Args{{delayedRouting, "fanout"}}})
	if err != nil {
		p.t.Fatal(err)
	}
	return x
}

func (p *planner) queue(name string) *Queue {
	p.t.Helper()
	q, _, err := p.b.DeclareQueue(ctx, QueueSpec{Name: name, Durable: p.durable})
	if err != nil {
		p.t.Fatal(err)
	}
	return q
}

func (p *planner) bind(x *Exchange, to destination) {
	p.t.Helper()
	if err := p.b.Bind(ctx, Binding{Source: x.name.Name, Destination: to.Name()}); err != nil {
		p.t.Fatal(err)
	}
}

// kill goes on with what SIGKILL leaves, a while later.
func (p *planner) kill(later time.Duration) {
	p.t.Helper()
	fs := p.fs.Kill()
	if err := p.b.Close(); err != nil {
		p.t.Fatal(err)
	}
	time.Sleep(later)
	p.fs = fs
	p.open()
	synctest.Wait()
}

// publish has records on disk, in one Tx.
func (p *planner) publish(recs ...QueueRecord) {
	p.t.Helper()
	tx := p.b.Begin()
	for _, r := range recs {
		tx.Publish(p.x, r)
	}
	mustCommit(p.t, tx)
	synctest.Wait()
}

func (p *planner) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// want compares what waits in the queue, and how many are delayed.
func (p *planner) want(what, bodies string, delayed int64) {
	p.t.Helper()
	if got := browsed(p.t, p.q); got != bodies || p.x.Delayed() != delayed {
		p.t.Errorf("%s: got %q and %d delayed, want %q and %d", what, got, p.x.Delayed(), bodies, delayed)
	}
}

func browsed(t testing.TB, q *Queue) string {
	t.Helper()
	all, err := q.Browse(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range all {
		got = append(got, string(all[i].Record.Body))
	}
	return strings.Join(got, " ")
}

const ms = time.Millisecond

// TestADelayedRecordIsPublishedAtItsTime, and not before; one that asks for no delay at
// once.
func TestADelayedRecordIsPublishedAtItsTime(t *testing.T) {
	plans(t, func(p *planner) {
		p.publish(delayed("late", 5000), delayed("soon", 1000), delayed("now", 0), delayed("past", -1))
		p.want("at once", "now past", 2)
		p.pass(999 * ms)
		p.want("before", "now past", 2)
		p.pass(1 * ms)
		p.want("at 1 s", "now past soon", 1)
		p.pass(3999 * ms)
		p.want("before", "now past soon", 1)
		p.pass(1 * ms)
		p.want("at 5 s", "now past soon late", 0)
		all, err := p.q.Browse(10)
		if err != nil || len(all) != 4 {
			t.Fatal(all, err)
		}
		if got := string(all[3].Record.Props); got != "-5000" {
			p.t.Errorf("it has the properties %q", got)
		}
	})
}

// TestRecordsThatAreDueTogetherComeInTheOrderOfTheirPublishes, however long each waits.
func TestRecordsThatAreDueTogetherComeInTheOrderOfTheirPublishes(t *testing.T) {
	plans(t, func(p *planner) {
		p.publish(delayed("a", 3000), delayed("b", 3000))
		p.pass(1700 * ms)
		p.publish(delayed("c", 1300), delayed("before", 1299), delayed("d", 1300))
		p.pass(1299 * ms)
		p.publish(delayed("e", 1), delayed("after", 2))
		p.pass(2 * ms)
		p.want("in the end", "before a b c d e after", 0)
	})
}

// TestADelayedRecordIsRoutedByTheBindingsOfItsTime.
func TestADelayedRecordIsRoutedByTheBindingsOfItsTime(t *testing.T) {
	plans(t, func(p *planner) {
		p.publish(delayed("a", 1000))
		other := p.queue("other")
		p.bind(p.x, other)
		if _, err := p.b.DeleteQueue(ctx, p.q, DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		p.pass(time.Second)
		if got := browsed(t, other); got != "a" {
			t.Errorf("the queue that is bound now has %q", got)
		}
	})
}

// TestADelayedPublishCountsAsRouted: to no queue, and not refused.
func TestADelayedPublishCountsAsRouted(t *testing.T) {
	plans(t, func(p *planner) {
		tx := p.b.Begin()
		later, now := tx.Publish(p.x, delayed("a", 1000)), tx.Publish(p.x, delayed("b", 0))
		mustCommit(t, tx)
		if r := tx.Routed(later); !r.Delayed || r.Queues != 0 || r.Refused || !r.Confirm.Done() {
			t.Errorf("later: %+v", r)
		}
		if r := tx.Routed(now); r.Delayed || r.Queues != 1 {
			t.Errorf("now: %+v", r)
		}
	})
}

// TestTimeToLiveBeginsWhenADelayedRecordIsPublished.
func TestTimeToLiveBeginsWhenADelayedRecordIsPublished(t *testing.T) {
	plans(t, func(p *planner) {
		r := delayed("a", 1000)
		r.Time = time.Now()
		r.Expires = r.Time.Add(300 * ms)
		p.publish(r)
		p.pass(1299 * ms)
		p.want("while it lives", "a", 0)
		p.pass(1 * ms)
		p.want("then", "", 0)
	})
}

// TestFurtherKeysLeadADelayedRecordToo, also those that nobody is to see.
func TestFurtherKeysLeadADelayedRecordToo(t *testing.T) {
	plans(t, func(p *planner) {
		x, _, err := p.b.DeclareExchange(ctx, ExchangeSpec{Name: "by key", Type: delayedType,
			Durable: p.durable, Args: Args{{delayedRouting, "direct"}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"k", "cc", "bcc"} {
			q := p.queue(name)
			if err := p.b.Bind(ctx, Binding{Source: "by key", Destination: q.name, Key: name}); err != nil {
				t.Fatal(err)
			}
		}
		r := delayed("a", 1000)
		r.Key, r.CC, r.BCC = "k", []string{"cc"}, []string{"bcc"}
		tx := p.b.Begin()
		tx.Publish(x, r)
		mustCommit(t, tx)
		p.pass(time.Second)
		for _, name := range []string{"k", "cc", "bcc"} {
			q, _ := p.b.Queue("", name)
			if got := browsed(t, q); got != "a" {
				t.Errorf("%s has %q", name, got)
			}
		}
	})
}

// TestAnExchangeDelaysWhatAnotherLeadsToIt, and what was delayed once is led on at once.
func TestAnExchangeDelaysWhatAnotherLeadsToIt(t *testing.T) {
	plans(t, func(p *planner) {
		spec := ExchangeSpec{Name: "fan", Type: "fanout", Durable: p.durable}
		fan, _, err := p.b.DeclareExchange(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		direct, second, end := p.queue("direct"), p.exchange("second"), p.queue("end")
		p.bind(fan, p.x)
		p.bind(fan, direct)
		p.bind(p.x, second)
		p.bind(second, end)
		tx := p.b.Begin()
		tx.Publish(fan, delayed("a", 1000))
		mustCommit(t, tx)
		p.pass(999 * ms)
		if got := browsed(t, direct) + "|" + browsed(t, p.q) + "|" + browsed(t, end); got != "a||" {
			t.Errorf("before: %q", got)
		}
		p.pass(1 * ms)
		if got := browsed(t, direct) + "|" + browsed(t, p.q) + "|" + browsed(t, end); got != "a|a|a" {
			t.Errorf("at its time: %q", got)
		}
	})
}

// TestADelayedRecordSurvivesAKill: it is published once, at its time or, where the
// broker did not run then, as soon as it does; in the order of times.
func TestADelayedRecordSurvivesAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &planner{t: t, fs: vfs.NewMem(), durable: true}
		p.open()
		gone := delayed("transient", 2000)
		gone.Transient = true
		p.publish(delayed("d", 9000), delayed("c", 4000), delayed("a", 1000), delayed("b", 2000), gone)
		p.pass(time.Second)
		p.want("before", "a", 4)
		p.kill(2500 * ms)
		p.want("as soon as it runs", "a b", 2)
		p.pass(500 * ms)
		p.want("at its time", "a b c", 1)
		p.kill(0)
		p.want("after another kill", "a b c", 1)
		p.pass(5 * time.Second)
		p.want("in the end", "a b c d", 0)
		p.kill(time.Minute)
		p.want("for ever", "a b c d", 0)
		p.b.Close()
	})
}

// TestDeletingAnExchangeDeletesItsSchedule.
func TestDeletingAnExchangeDeletesItsSchedule(t *testing.T) {
	plans(t, func(p *planner) {
		p.publish(delayed("a", 1), delayed("b", 1000), delayed("c", 10_000))
		if err := p.b.DeleteExchange(ctx, p.x, false); err != nil {
			t.Fatal(err)
		}
		p.pass(time.Minute)
		if got := browsed(t, p.q); got != "" && got != "a" {
			t.Errorf("got %q", got)
		}
		for key := range p.b.store.Scan([]byte{familySchedule}) {
			t.Errorf("key %q is left", key)
		}
		for _, c := range p.x.schedule.classes {
			if p.b.store.Log(c.log.ID()) != nil {
				t.Errorf("the log of class %d is left", c.k)
			}
		}
		p.x = p.exchange("later")
		if n := p.x.Delayed(); n != 0 {
			t.Errorf("the next of that name has %d", n)
		}
	})
}

// TestASetClockKeepsNothingBack: where the clock is set back, records that come then are
// not late because of those before.
func TestASetClockKeepsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := 24 * time.Hour
		b := openOn(t, vfs.NewMem(), withDelays, func(c *Config) {
			c.Now = func() time.Time { return time.Now().Add(ahead) }
		})
		p := &planner{t: t, b: b, durable: true}
		p.x, p.q = p.exchange("later"), p.queue("jobs")
		p.bind(p.x, p.q)
		p.publish(delayed("a day", 5000))
		ahead = 0
		p.publish(delayed("b", 6000), delayed("a", 5000), delayed("c", 7000))
		p.pass(5 * time.Second)
		p.want("at 5 s", "a", 3)
		p.pass(2 * time.Second)
		p.want("at 7 s", "a b c", 1)
		p.pass(24 * time.Hour)
		p.want("a day later", "a b c a day", 0)
		b.Close()
	})
}

// TestPublishAtIsAPublishLater, to any exchange, for what needs no delay of its own.
func TestPublishAtIsAPublishLater(t *testing.T) {
	plans(t, func(p *planner) {
		x, err := p.b.Exchange("", "")
		if err != nil {
			t.Fatal(err)
		}
		rec := func(body string) QueueRecord { return QueueRecord{Key: "jobs", Body: []byte(body)} }
		tx := p.b.Begin()
		tx.PublishAt(x, rec("b"), time.Now().Add(9*24*time.Hour))
		tx.PublishAt(x, rec("a"), time.Now().Add(-time.Hour))
		held := delayed("c", 5000)
		tx.PublishAt(p.x, held, time.Now().Add(time.Second)) // its time is the one of the call
		mustCommit(t, tx)
		p.pass(time.Second)
		p.want("at once", "a c", 0)
		if n := x.Delayed(); n != 1 {
			t.Errorf("%d wait", n)
		}
		p.pass(24 * time.Hour)
		if p.durable {
			p.kill(time.Hour)
		}
		p.pass(9*24*time.Hour - time.Second)
		p.want("in 9 days", "a c b", 0)
	})
}

// TestAFullDiskOnlyDelaysWhatIsDue.
func TestAFullDiskOnlyDelaysWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &planner{t: t, fs: vfs.NewMem(), durable: true}
		p.open()
		p.publish(delayed("a", 2500), delayed("b", 2600))
		p.fs.SetCapacity(1 << 10)
		p.pass(5 * time.Second)
		p.want("while there is no room", "", 2)
		p.fs.SetCapacity(1 << 30)
		p.pass(5 * time.Second)
		p.want("when there is room", "a b", 0)
		p.b.Close()
	})
}

// TestADelayedExchangeNeedsATypeToRouteBy.
func TestADelayedExchangeNeedsATypeToRouteBy(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	for name, row := range map[string]struct {
		args Args
		want ErrorKind
	}{
		"none":    {nil, Invalid},
		"number":  {Args{{delayedRouting, int32(1)}}, Invalid},
		"unknown": {Args{{delayedRouting, "x-odd"}}, Unsupported},
		"itself":  {Args{{delayedRouting, delayedType}}, Unsupported},
	} {
		_, _, err := b.DeclareExchange(ctx, ExchangeSpec{Name: "x", Type: delayedType, Args: row.args})
		wantKind(t, name, err, row.want)
	}
}

// TestTheLogOfAClassIsTrimmedAsTimePasses, and holds nothing when all is published.
func TestTheLogOfAClassIsTrimmedAsTimePasses(t *testing.T) {
	plans(t, func(p *planner) {
		for range 20 {
			for i := range 50 {
				p.publish(delayed("x", 600+i))
			}
			p.pass(500 * ms)
		}
		p.pass(time.Second)
		time.Sleep(2 * p.b.config.RetentionInterval)
		synctest.Wait()
		for _, c := range p.x.schedule.classes {
			if start, _, end := c.log.Bounds(); start != end || len(c.runs.heap) > 0 || c.trimmed != end {
				t.Errorf("class %d has a log from %d to %d, runs %v", c.k, start, end, c.runs)
			}
		}
		if n := p.q.Stats().Ready; n != 1000 {
			t.Errorf("%d came", n)
		}
	})
}

// TestADamagedRecordIsPassedOver: those beside it are published.
func TestADamagedRecordIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &planner{t: t, fs: vfs.NewMem(), durable: true}
		p.open()
		p.publish(delayed("a", 1000))
		c := p.x.schedule.classes[0]
		var batch storage.Batch
		batch.Append(c.log, storage.Entry{Count: 1, Time: time.Now().UnixMilli(), Bytes: []byte{99}})
		if _, err := p.b.store.Submit(&batch); err != nil {
			t.Fatal(err)
		}
		c.end++
		p.publish(delayed("b", 1000))
		p.pass(time.Second)
		p.want("in the end", "a b", 0)
		p.b.Close()
	})
}

// TestWhatARepairGaveUpHoldsUpNoSchedule: what lies beside it is published at its time, and
// the logs are let go of.
func TestWhatARepairGaveUpHoldsUpNoSchedule(t *testing.T) {
	for name, row := range map[string]struct {
		lost []string
		want string
	}{
		"at the head":  {[]string{"0_"}, "123456"},
		"in between":   {[]string{"2_", "3_", "5_"}, "0146"},
		"at the end":   {[]string{"5_", "6_"}, "01234"},
		"all there is": {strings.Fields("0_ 1_ 2_ 3_ 4_ 5_ 6_"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &planner{t: t, fs: vfs.NewMem(), durable: true}
				p.open()
				for i := range 7 {
					p.publish(delayed(long(fmt.Sprintf("%d_", i)), 10_000))
				}
				if err := p.b.Close(); err != nil { // writes a segment
					t.Fatal(err)
				}
				for _, body := range row.lost {
					damage(t, p.fs, ".", []byte(long(body)))
				}
				r, err := storage.Repair(p.fs, storage.RepairOptions{AcceptLoss: true})
				if err != nil || len(r.Lost) == 0 {
					t.Fatalf("lost %+v, %v", r, err)
				}
				p.open()
				p.pass(10 * time.Second)
				p.publish(delayed("7", 1000))
				p.pass(time.Second)
				all, err := p.q.Browse(10)
				if got := firsts(all); err != nil || got != row.want+"7" || p.x.Delayed() != 0 {
					t.Errorf("got %q and %d delayed, %v; want %q", got, p.x.Delayed(), err, row.want+"7")
				}
				p.pass(2 * p.b.config.RetentionInterval)
				for _, c := range p.x.schedule.classes {
					if start, _, end := c.log.Bounds(); start != end {
						t.Errorf("the log of class %d is from %d to %d", c.k, start, end)
					}
				}
				if err := p.b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// long makes a body that goes into a segment when the broker is closed.
func long(body string) string { return strings.Repeat(body, 2<<10) }

// TestADelayedRecordReachesQueuesAndTopicsOnce: after power cuts at any moment both have the
// same records, each once, and all that were confirmed.
func TestADelayedRecordReachesQueuesAndTopicsOnce(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			rng := seeded(seed)
			p := &planner{t: t, fs: vfs.NewMem(), durable: true}
			p.open()
			mustTopic(t, p.b, TopicSpec{Name: "t", Partitions: 3})
			if err := p.b.Bind(ctx, Binding{Source: "later", Destination: topicNamed("t")}); err != nil {
				t.Fatal(err)
			}
			next, confirmed := 0, map[int]bool{}
			for range 4 {
				p.fs.CutAfter(1 + rng.IntN(60))
				next = p.publishUntilCut(rng, next, confirmed)
				p.b.Close()
				p.fs = p.fs.Crash(rng)
				p.b = openOn(t, p.fs, withDelays)
			}
			p.pass(time.Minute)
			x, _ := p.b.Exchange("", "later")
			p.q, _ = p.b.Queue("", "jobs")
			topic, _ := p.b.Topic("", "t")
			in := strings.Fields(browsed(t, p.q))
			var also []string
			for _, part := range topic.all() {
				also = append(also, values(t, part, 0)...)
			}
			slices.Sort(in)
			slices.Sort(also)
			if !slices.Equal(in, also) || len(slices.Compact(slices.Clone(in))) != len(in) {
				t.Errorf("seed %d: the queue has %q, the topic %q", seed, in, also)
			}
			for n := range confirmed {
				if _, ok := slices.BinarySearch(in, strconv.Itoa(n)); !ok {
					t.Errorf("seed %d: %d was confirmed and never came", seed, n)
				}
			}
			if n := x.Delayed(); n != 0 {
				t.Errorf("seed %d: %d still wait", seed, n)
			}
			p.b.Close()
		})
	}
}

// publishUntilCut publishes numbers and lets time pass until the disk is gone.
func (p *planner) publishUntilCut(rng *rand.Rand, next int, confirmed map[int]bool) int {
	p.t.Helper()
	x, err := p.b.Exchange("", "later")
	if err != nil {
		p.t.Fatal(err)
	}
	first := next
	for range 100 {
		tx := p.b.Begin()
		for range 1 + rng.IntN(3) {
			r := delayed(strconv.Itoa(next), 1+rng.IntN(60))
			r.Key = strconv.Itoa(rng.IntN(5))
			tx.Publish(x, r)
			next++
		}
		confirm, err := tx.Commit(ctx)
		if err != nil {
			break
		}
		if rng.IntN(3) == 0 && confirm.Wait(ctx) == nil {
			for ; first < next; first++ {
				confirmed[first] = true
			}
		}
		time.Sleep(time.Duration(rng.IntN(20)) * ms)
	}
	return next
}

// TestRunsGiveTheirRecordsInOrder plays with a class against a sorted list.
func TestRunsGiveTheirRecordsInOrder(t *testing.T) {
	type rec struct {
		due int64
		off Offset
	}
	for seed := range uint64(200) {
		rng := seeded(seed)
		var h runs
		var want []rec
		dues := map[Offset]int64{}
		off := Offset(0)
		for range 200 {
			if rng.IntN(3) > 0 || len(want) == 0 {
				r := rec{int64(rng.IntN(1 + rng.IntN(50))), off}
				off += Offset(1 + rng.IntN(10)/9) // now and then one is settled
				h.add(r.off, r.due)
				dues[r.off] = r.due
				want = append(want, r)
				continue
			}
			slices.SortFunc(want, func(a, b rec) int {
				if (run{a.due, a.off, 0}).before(run{b.due, b.off, 0}) {
					return -1
				}
				return 1
			})
			first, ok := h.first()
			got := h.pop()
			if !ok || first != got || got.due != want[0].due || got.from != want[0].off {
				t.Fatalf("seed %d: got %+v, first %+v, want %+v", seed, got, first, want[0])
			}
			want = want[1:]
			h.push(run{dues[got.from+1], got.from + 1, got.to})
		}
	}
}

// TestAClassIsInTheOrderOfTimes: whatever the clock does, times in a log never decrease,
// and no record is due before its class opens for it.
func TestAClassIsInTheOrderOfTimes(t *testing.T) {
	for seed := range uint64(100) {
		rng := seeded(seed)
		s := &schedule{}
		now := int64(1 << 40)
		for range 300 {
			step := func() int64 { return int64(rng.IntN(1 << rng.IntN(20))) }
			now += step()
			now -= step()
			due := now + int64(rng.IntN(1<<rng.IntN(30))) - 3
			k, noted := s.placeLocked(now, due)
			c := s.classLocked(k)
			if c == nil {
				c = &class{k: k}
				s.classes = append(s.classes, c)
			}
			if k > 0 && (noted < c.last || noted < now || due < c.opening(noted)) {
				t.Fatalf("seed %d: class %d with last %d took one due at %d, noted at %d, now %d",
					seed, k, c.last, due, noted, now)
			}
			c.last = max(c.last, noted)
		}
	}
}

func ExampleTx_PublishAt() {
	b, err := Open("", Config{FS: vfs.NewMem()})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	q, _, err := b.DeclareQueue(ctx, QueueSpec{Name: "reminders", Durable: true})
	if err != nil {
		panic(err)
	}
	x, err := b.Exchange("", "") // leads to the queue of each name
	if err != nil {
		panic(err)
	}
	tx := b.Begin()
	tx.PublishAt(x, QueueRecord{Key: "reminders", Body: []byte("tea is ready")}, time.Now().Add(20*ms))
	confirm, err := tx.Commit(ctx)
	if err == nil {
		err = confirm.Wait(ctx) // on disk, as it waits
	}
	if err != nil {
		panic(err)
	}
	wake := make(chan struct{}, 1)
	s, err := q.Subscribe(SubscribeOptions{Wake: wake})
	if err != nil {
		panic(err)
	}
	<-wake
	got, err := s.Take(nil, 1)
	fmt.Println(string(got[0].Record.Body), err)
	// Output: tea is ready <nil>
}
