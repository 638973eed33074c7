package broker

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// linked is a broker with a topic "orders" of three partitions and a queue "mail".
type linked struct {
	t     *testing.T
	b     *Broker
	fs    *vfs.Mem
	topic *Topic
	q     *Queue
}

func newLinked(t *testing.T, spec QueueSpec) *linked {
	w := &linked{t: t, fs: vfs.NewMem()}
	w.b = openOn(t, w.fs)
	mustTopic(t, w.b, TopicSpec{Name: "orders", Partitions: 3})
	spec.Name, spec.Durable = "mail", true
	if _, _, err := w.b.DeclareQueue(ctx, spec); err != nil {
		t.Fatal(err)
	}
	w.find()
	return w
}

func (w *linked) find() {
	w.t.Helper()
	var err error
	if w.topic, err = w.b.Topic("", "orders"); err == nil {
		w.q, err = w.b.Queue("", "mail")
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func toMail() Link { return Link{Topic: "orders", To: Name{Kind: KindQueue, Name: "mail"}} }

func (w *linked) link(l Link, fromFirst bool) {
	w.t.Helper()
	if err := w.b.Link(ctx, l, fromFirst); err != nil {
		w.t.Fatal(err)
	}
}

func (w *linked) write(partition int, values ...string) {
	w.t.Helper()
	for _, v := range values {
		mustWrite(w.t, w.topic.Partition(partition), rec(v))
	}
}

// restart goes on with what a kill leaves, or a power cut.
func (w *linked) restart(fs *vfs.Mem) {
	w.t.Helper()
	w.b.Close()
	w.fs = fs
	w.b = openOn(w.t, fs)
	w.find()
}

// drained is the bodies of all records that the queue has once nothing runs any more.
func (w *linked) drained() (all []string) {
	w.t.Helper()
	synctest.Wait()
	for {
		got, err := w.q.Receive(ctx, ReceiveOptions{Max: 10, Lease: time.Hour})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(got) == 0 {
			return all
		}
		tx := w.b.Begin()
		for _, d := range got {
			all = append(all, string(d.Record.Body))
			tx.Discard(w.q, d.ID)
		}
		mustCommit(w.t, tx)
	}
}

func (w *linked) want(want ...string) {
	w.t.Helper()
	if got := w.drained(); !slices.Equal(got, want) {
		w.t.Errorf("in the queue: got %q, want %q", got, want)
	}
}

// A link leads what a topic gets from now on, or all that is there.
func TestALinkLeadsATopicToAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLinked(t, QueueSpec{})
		w.write(0, "a", "b")
		w.link(toMail(), false)
		w.write(0, "c")
		w.want("c")
		w.write(1, "d")
		w.want("d")
		if err := w.b.Unlink(ctx, toMail()); err != nil {
			t.Fatal(err)
		}
		w.write(0, "e")
		w.want()
		wantKind(t, "again", w.b.Unlink(ctx, toMail()), NotFound)
		w.link(toMail(), true)
		w.link(toMail(), true) // it is there
		if got := w.drained(); len(got) != 5 {
			t.Errorf("from the first record on: got %q, want 5 records", got)
		}
	})
}

// A link goes on after a restart where it was: each record is published once.
func TestALinkGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLinked(t, QueueSpec{})
		w.link(toMail(), false)
		w.write(0, "a", "b")
		w.want("a", "b")
		w.restart(w.fs.Kill())
		w.want()
		w.write(0, "c")
		w.want("c")
		if got := w.b.Links(); len(got) != 1 || got[0].String() != "orders -> mail" {
			t.Errorf("links: got %v", got)
		}
	})
}

// A link that leads to an exchange publishes with the record's key, or with its own.
func TestALinkLeadsToAnExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLinked(t, QueueSpec{})
		if _, _, err := w.b.DeclareExchange(ctx, ExchangeSpec{Name: "shop", Type: "topic", Durable: true}); err != nil {
			t.Fatal(err)
		}
		bind := Binding{Source: "shop", Destination: w.q.Name(), Key: "new.*"}
		if err := w.b.Bind(ctx, bind); err != nil {
			t.Fatal(err)
		}
		shop := Link{Topic: "orders", To: Name{Kind: KindExchange, Name: "shop"}}
		w.link(shop, false)
		p := w.topic.Partition(0)
		mustWrite(t, p, Record{Key: []byte("new.1"), Value: []byte("a")}, Record{Key: []byte("old"), Value: []byte("b")})
		w.want("a")
		key := "new.all"
		shop.Key = &key
		w.link(shop, false)
		mustWrite(t, p, Record{Key: []byte("old"), Value: []byte("c")})
		w.want("c")
	})
}

// While a queue refuses more, a link waits; nothing is left out.
func TestAKeyIsAGroupOfAQueueWithOrderedGroups(t *testing.T) {
	for _, test := range []struct {
		groups Groups
		want   string
	}{{OrderedGroups, "k " + strings.Repeat("l", MaxGroup) + " -"}, {FairGroups, "- - -"}} {
		synctest.Test(t, func(t *testing.T) {
			w := newLinked(t, QueueSpec{Settings: QueueSettings{Groups: test.groups}})
			w.link(toMail(), false)
			for _, key := range []string{"k", strings.Repeat("l", 2*MaxGroup), ""} {
				mustWrite(t, w.topic.Partition(0), Record{Key: []byte(key), Value: []byte("v")})
			}
			synctest.Wait()
			got, err := w.q.Receive(ctx, ReceiveOptions{Max: 3, Lease: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			var groups []string
			for i := range got {
				groups = append(groups, cmp.Or(got[i].Record.Group, "-"))
			}
			if strings.Join(groups, " ") != test.want {
				t.Errorf("%v: got %q, want %q", test.groups, groups, test.want)
			}
		})
	}
}

func TestALinkWaitsForAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two := int64(2)
		w := newLinked(t, QueueSpec{Settings: QueueSettings{MaxLength: &two, Overflow: RejectPublish}})
		w.link(toMail(), false)
		w.write(0, "a", "b", "c", "d", "e")
		w.want("a", "b")
		for _, want := range []string{"c d", "e"} {
			time.Sleep(2 * linkRetry) // the bubble's clock
			if got := strings.Join(w.drained(), " "); got != want {
				t.Errorf("after a retry: got %q, want %q", got, want)
			}
		}
	})
}

// A link ends with its topic, and with the queue or exchange that it leads to.
func TestALinkEndsWithItsEnds(t *testing.T) {
	for _, of := range []string{"topic", "queue"} {
		synctest.Test(t, func(t *testing.T) {
			w := newLinked(t, QueueSpec{})
			w.link(toMail(), false)
			w.write(0, "a")
			w.want("a")
			var err error
			if of == "topic" {
				err = w.b.DeleteTopic(ctx, "", "orders")
			} else {
				_, err = w.b.DeleteQueue(ctx, w.q, DeleteOptions{})
				w.write(0, "b")
			}
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := w.b.Links(); len(got) != 0 {
				t.Errorf("the %s is deleted: got links %v, want none", of, got)
			}
			l := toMail()
			_, err = w.b.Group("", l.Group())
			wantKind(t, "its group", err, NotFound)
			w.b = reopen(t, w.b, w.fs)
			if got := w.b.Links(); len(got) != 0 {
				t.Errorf("after a restart: got links %v, want none", got)
			}
		})
	}
}

// Who asked for a link and does not wait for the disk has it all the same.
func TestALinkThatNobodyWaitsForIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		disk := newGate(mem)
		b := openOn(t, disk)
		topic := mustTopic(t, b, TopicSpec{Name: "orders"})
		q, _, err := b.DeclareQueue(ctx, QueueSpec{Name: "mail", Durable: true})
		if err != nil {
			t.Fatal(err)
		}
		resume := disk.stop()
		life, end := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- b.Link(life, toMail(), false) }()
		synctest.Wait()
		end()
		if err := <-done; err == nil {
			t.Error("a link is on disk before the disk goes on")
		}
		resume()
		mustWrite(t, topic.Partition(0), rec("a"))
		synctest.Wait()
		got, err := q.Receive(ctx, ReceiveOptions{Max: 2, Lease: time.Hour})
		if err != nil || len(got) != 1 || string(got[0].Record.Body) != "a" {
			t.Errorf("the queue gave %d records, %v", len(got), err)
		}
	})
}

// What a link cannot be is refused.
func TestALinkNeedsBothEnds(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	mustTopic(t, b, TopicSpec{Name: "orders"})
	key := "k"
	for _, test := range []struct {
		what string
		l    Link
		want ErrorKind
	}{
		{"no queue", toMail(), NotFound},
		{"no topic", Link{Topic: "none", To: Name{Kind: KindExchange, Name: "amq.fanout"}}, NotFound},
		{"to a topic", Link{Topic: "orders", To: Name{Kind: KindTopic, Name: "orders"}}, Invalid},
		{"a key for a queue", Link{Topic: "orders", To: Name{Kind: KindQueue, Name: "mail"}, Key: &key}, Invalid},
		{"another namespace", Link{Topic: "orders", To: Name{KindExchange, "x", "amq.fanout"}}, Invalid},
	} {
		wantKind(t, test.what, b.Link(ctx, test.l, false), test.want)
	}
}

// However often the power is cut, each record of the topic is published once, and the
// records of a partition in their order.
func TestALinkPublishesEachRecordOnce(t *testing.T) {
	for seed := range seeds(t, "TIDINGS_LINK_SEEDS", 40) {
		synctest.Test(t, func(t *testing.T) {
			rng := seeded(seed)
			w := newLinked(t, QueueSpec{})
			w.link(toMail(), false)
			written, got := make([][]string, 3), make([][]string, 3)
			for n := range 30 {
				switch p := rng.IntN(4); {
				case p < 3:
					for range 1 + rng.IntN(5) {
						v := fmt.Sprintf("%d:%d", p, len(written[p]))
						w.write(p, v)
						written[p] = append(written[p], v)
					}
				case n%2 == 0:
					w.restart(w.fs.Kill())
				default:
					w.restart(w.fs.Crash(rng))
				}
			}
			for _, v := range w.drained() {
				p := int(v[0] - '0')
				got[p] = append(got[p], v)
			}
			for p := range written {
				if !slices.Equal(got[p], written[p]) {
					t.Fatalf("seed %d, partition %d: got %q, want %q", seed, p, got[p], written[p])
				}
			}
		})
	}
}

// Open has links go on while some of them end at once, because what they lead to was not to
// stay.
func TestLinksEndWhileOthersGoOn(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	mustTopic(t, b, TopicSpec{Name: "orders"})
	for i := range 100 {
		q, _, err := b.DeclareQueue(ctx, QueueSpec{Name: fmt.Sprint("q", i)})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Link(ctx, Link{Topic: "orders", To: q.Name()}, false); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	b = openOn(t, fs)
	for end := time.Now().Add(20 * time.Second); len(b.Links()) > 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d links lead nowhere", len(b.Links()))
		}
	}
}

// TestALinkIsThereWhenLinkSaysSo, also where one of before is just about to end, because what
// it led to had gone.
func TestALinkIsThereWhenLinkSaysSo(t *testing.T) {
	const rounds = 500
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "orders"})
	var late sync.WaitGroup
	defer late.Wait()
	for i := range rounds {
		q, _, err := b.DeclareQueue(ctx, QueueSpec{Name: "mail"})
		if err == nil {
			err = b.Link(ctx, toMail(), false)
		}
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, topic.Partition(0), rec(fmt.Sprint(i)))
		for end := time.Now().Add(5 * time.Second); !strings.Contains(" "+browsed(t, q)+" ", fmt.Sprint(" ", i, " ")); {
			if runtime.Gosched(); time.Now().After(end) {
				t.Fatalf("round %d: there are the links %v, and nothing comes", i, b.Links())
			}
		}
		if _, err := b.DeleteQueue(ctx, q, DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		late.Go(func() { mustWrite(t, topic.Partition(0), rec("late")) })
		for range i % 50 {
			runtime.Gosched()
		}
	}
}
