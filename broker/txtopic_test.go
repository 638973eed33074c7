package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// mustFanout makes a durable fanout exchange that leads to these.
func mustFanout(t testing.TB, b *Broker, name string, to ...Name) *Exchange {
	t.Helper()
	x, _, err := b.DeclareExchange(ctx, ExchangeSpec{Name: name, Type: "fanout", Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range to {
		if err := b.Bind(ctx, Binding{Source: name, Destination: n}); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func mustQueue(t testing.TB, b *Broker, name string) *Queue {
	t.Helper()
	q, _, err := b.DeclareQueue(ctx, QueueSpec{Name: name, Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// published commits records durably and says where each of them went.
func published(t testing.TB, b *Broker, x *Exchange, all ...QueueRecord) (to []Routed) {
	t.Helper()
	tx := b.Begin()
	for _, r := range all {
		tx.Publish(x, r)
	}
	mustCommit(t, tx)
	for i := range all {
		r := tx.Routed(i)
		r.Confirm = Confirm{}
		to = append(to, r)
	}
	return to
}

// shownIn lists what waits in a queue.
func shownIn(t testing.TB, q *Queue) []string {
	t.Helper()
	all, err := q.Browse(10_000)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for i := range all {
		got = append(got, string(all[i].Record.Body))
	}
	return got
}

// entries counts the batches of a partition.
func entries(t testing.TB, p *Partition) int {
	t.Helper()
	var buf Buffer
	defer buf.Release()
	start, _ := p.Bounds()
	if err := p.Read(&buf, start, 64<<20); err != nil {
		t.Fatal(err)
	}
	return len(buf.Entries)
}

func body(s string) QueueRecord { return QueueRecord{Body: []byte(s)} }

func topicNamed(name string) Name { return Name{Kind: KindTopic, Name: name} }
func queueNamed(name string) Name { return Name{Kind: KindQueue, Name: name} }

// What is published in one Tx reaches queues and topics in one commit, and is one batch of
// each partition.
func TestPublishedRecordsReachQueuesAndTopics(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	q, topic := mustQueue(t, b, "q"), mustTopic(t, b, TopicSpec{Name: "t"})
	x := mustFanout(t, b, "x", queueNamed("q"), topicNamed("t"))
	to := published(t, b, x, body("a"), body("b"), QueueRecord{Key: "k"})
	if want := []Routed{{Queues: 2}, {Queues: 2, Offset: 1}, {Queues: 2, Offset: 2}}; !slices.Equal(to, want) {
		t.Errorf("got %v, want %v", to, want)
	}
	if got, want := shownIn(t, q), []string{"a", "b", ""}; !slices.Equal(got, want) {
		t.Errorf("queue: got %q, want %q", got, want)
	}
	recs, err := readAll(topic.Partition(0), 0)
	if err != nil || len(recs) != 3 || entries(t, topic.Partition(0)) != 1 {
		t.Fatalf("topic: got %d records in %d batches, %v; want 3 in 1",
			len(recs), entries(t, topic.Partition(0)), err)
	}
	if r := recs[0]; r.Key != nil || string(r.Value) != "a" || r.Time.IsZero() {
		t.Errorf("got key %q, value %q, time %v", r.Key, r.Value, r.Time)
	}
	if r := recs[2]; string(r.Key) != "k" || r.Value == nil || len(r.Value) > 0 {
		t.Errorf("got key %q, value %v: want k and an empty value", r.Key, r.Value)
	}
}

// A key goes to the partition where Kafka's clients place it; what has no key stays
// together within a Tx, and goes round from one to the next.
func TestPublishedKeysGoToTheirPartition(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t", Partitions: 3})
	x := mustFanout(t, b, "x", topicNamed("t"))
	for _, key := range []string{"21", "foobar", "abc"} {
		part := topic.Partition(KeyPartition([]byte(key), 3))
		_, before := part.Bounds()
		published(t, b, x, QueueRecord{Key: key, Body: []byte(key)})
		if got := values(t, part, before); !slices.Equal(got, []string{key}) {
			t.Errorf("%s: its partition got %q", key, got)
		}
	}
	var ends [3]Offset
	for i := range ends {
		_, ends[i] = topic.Partition(i).Bounds()
	}
	for range 3 {
		published(t, b, x, body("1"), body("2"))
	}
	for i := range ends {
		if got := values(t, topic.Partition(i), ends[i]); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("partition %d got %q of the records without a key", i, got)
		}
	}
}

// The default exchange leads to the queue that has the key for a name, and where there is
// none to the topic.
func TestTheDefaultExchangeReachesTopics(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "name"})
	x, err := b.Exchange("", "")
	if err != nil {
		t.Fatal(err)
	}
	to := published(t, b, x, QueueRecord{Key: "name", Body: []byte("1")})
	q := mustQueue(t, b, "name")
	to = append(to, published(t, b, x, QueueRecord{Key: "name", Body: []byte("2")})...)
	to = append(to, published(t, b, x, QueueRecord{Key: "none"})...)
	if want := []Routed{{Queues: 1, Offset: -1}, {Queues: 1}, {Offset: -1}}; !slices.Equal(to, want) {
		t.Errorf("got %v, want %v", to, want)
	}
	if got := values(t, topic.Partition(0), 0); !slices.Equal(got, []string{"1"}) {
		t.Errorf("topic: got %q", got)
	}
	if got := shownIn(t, q); !slices.Equal(got, []string{"2"}) {
		t.Errorf("queue: got %q", got)
	}
}

// A record that is larger than a topic accepts is refused there, and by nobody else; what
// fits is cut into batches that do.
func TestTopicsRefuseWhatIsTooLarge(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t", Config: TopicConfig{BatchBytes: 1000}})
	q := mustQueue(t, b, "q")
	x := mustFanout(t, b, "x", queueNamed("q"), topicNamed("t"))
	some, large := strings.Repeat("s", 400), strings.Repeat("l", 1000)
	to := published(t, b, x, body(some), body(large), body(some), body(some))
	want := []Routed{{Queues: 2}, {Queues: 1, Offset: 1, Refused: true}, {Queues: 2, Offset: 2},
		{Queues: 2, Offset: 3}}
	if !slices.Equal(to, want) {
		t.Errorf("got %v, want %v", to, want)
	}
	if got := values(t, topic.Partition(0), 0); !slices.Equal(got, []string{some, some, some}) {
		t.Errorf("topic: got %d records", len(got))
	}
	if n := entries(t, topic.Partition(0)); n != 2 {
		t.Errorf("got %d batches, want 2", n)
	}
	if n := len(shownIn(t, q)); n != 4 {
		t.Errorf("queue: got %d records, want 4", n)
	}
	exact := 1000 - batchHeader
	for recordBytes(&Record{Value: make([]byte, exact)}, 0) > 1000-batchHeader {
		exact--
	}
	to = published(t, b, x, body(large[:exact]), body(large[:exact+1]))
	if want := []Routed{{Queues: 2, Offset: 4}, {Queues: 1, Offset: 5, Refused: true}}; !slices.Equal(to, want) {
		t.Errorf("at the limit: got %v, want %v", to, want)
	}
}

// Bindings to a topic survive a restart, and go with the topic.
func TestBindingsLeadToTopics(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	mustTopic(t, b, TopicSpec{Name: "t", Args: Args{{"x-queue-type", "stream"}}})
	mustFanout(t, b, "x", topicNamed("t"))
	b = reopen(t, b, fs)
	topic, err := b.Topic("", "t")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(topic.Args()), "[{x-queue-type stream}]"; got != want {
		t.Errorf("arguments after a restart: got %v, want %v", got, want)
	}
	x, _ := b.Exchange("", "x")
	published(t, b, x, body("1"))
	if got := values(t, topic.Partition(0), 0); !slices.Equal(got, []string{"1"}) {
		t.Errorf("after a restart: got %q", got)
	}
	if n := len(topic.Bindings()); n != 1 {
		t.Errorf("%d bindings lead to the topic, want 1", n)
	}
	if err := b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Fatal(err)
	}
	if n := len(x.Bindings()); n != 0 {
		t.Errorf("%d bindings lead on when the topic is gone", n)
	}
	mustTopic(t, b, TopicSpec{Name: "t"})
	b = reopen(t, b, fs)
	x, _ = b.Exchange("", "x")
	if to := published(t, b, x, body("2")); to[0].Queues != 0 {
		t.Errorf("a binding came back with the topic's name: %v", to)
	}
	for range b.store.Scan([]byte{familyBinding}) {
		t.Error("a binding is left on disk")
	}
	if err := b.Bind(ctx, Binding{Source: "x", Destination: topicNamed("none")}); KindOf(err) != NotFound {
		t.Errorf("bind to no topic: got %v", err)
	}
}

// A topic that is deleted between the routing and the commit takes nothing, and holds
// nobody up.
func TestRecordsForATopicThatGoesAreDropped(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	q := mustQueue(t, b, "q")
	mustTopic(t, b, TopicSpec{Name: "t"})
	x := mustFanout(t, b, "x", queueNamed("q"), topicNamed("t"))
	tx := b.Begin()
	tx.Publish(x, body("1"))
	if err := tx.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteTopic(ctx, "", "t"); err != nil {
		t.Fatal(err)
	}
	c := commit{tx: tx, b: b, work: b.takeWork()}
	confirm, err := c.run()
	if err == nil {
		err = confirm.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r := tx.Routed(0); r.Queues != 1 || r.Refused {
		t.Errorf("got %+v, want one queue", r)
	}
	if got := shownIn(t, q); !slices.Equal(got, []string{"1"}) {
		t.Errorf("queue: got %q", got)
	}

}

// crossings are histories of TestACommitReachesQueuesAndTopicsAsOne.
const crossings = 60

// What is confirmed is in the topics and in all queues after a power cut, and what is not
// is in all of them or in none, each Tx as a whole and in its order.
func TestACommitReachesQueuesAndTopicsAsOne(t *testing.T) {
	for seed := range uint64(crossings) {
		d := rand.New(rand.NewPCG(seed, 17))
		fs := vfs.NewMem()
		b := openOn(t, fs)
		mustQueue(t, b, "q1")
		mustQueue(t, b, "q2")
		mustTopic(t, b, TopicSpec{Name: "t1"})
		mustTopic(t, b, TopicSpec{Name: "t3", Partitions: 3})
		mustFanout(t, b, "x", queueNamed("q1"), queueNamed("q2"), topicNamed("t1"), topicNamed("t3"))
		next := 0
		for range 3 {
			fs.CutAfter(1 + d.IntN(40))
			b, fs, next = crossOnce(t, d, b, fs, next)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		b.Close()
	}
}

// crossOnce publishes until the power is cut, and compares what each destination kept.
// Records are numbers; begins of transactions are noted.
func crossOnce(t *testing.T, d *rand.Rand, b *Broker, fs *vfs.Mem, next int) (*Broker, *vfs.Mem, int) {
	x, err := b.Exchange("", "x")
	if err != nil {
		t.Fatal(err)
	}
	begins, confirmed := []int{next}, next
	var last Confirm
	for range 40 {
		tx := b.Begin()
		for range 1 + d.IntN(4) {
			tx.Publish(x, QueueRecord{Key: []string{"", "a", "b", "c"}[d.IntN(4)],
				Body: []byte(strconv.Itoa(next))})
			next++
		}
		begins = append(begins, next)
		if last, err = tx.Commit(ctx); err != nil {
			break
		}
		if d.IntN(3) == 0 && last.Wait(ctx) == nil {
			confirmed = next
		}
	}
	b.Close()
	fs = fs.Crash(d)
	b = openOn(t, fs)
	n := 0
	for i, got := range kept(t, b) {
		if i == 0 {
			n = len(got)
		}
		if len(got) != n || !inOrder(got) {
			t.Errorf("place %d has %d records, the first has %d: %v", i, len(got), n, got)
		}
	}
	if n < confirmed || !slices.Contains(begins, n) {
		t.Errorf("%d records are there, %d were confirmed, transactions end at %v", n, confirmed, begins)
	}
	return b, fs, n
}

// kept is the numbers in each destination, sorted.
func kept(t *testing.T, b *Broker) (all [][]int) {
	number := func(texts []string) (ns []int) {
		for _, s := range texts {
			n, _ := strconv.Atoi(s)
			ns = append(ns, n)
		}
		return ns
	}
	for _, name := range []string{"q1", "q2"} {
		q, err := b.Queue("", name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, number(shownIn(t, q)))
	}
	for _, name := range []string{"t1", "t3"} {
		topic, err := b.Topic("", name)
		if err != nil {
			t.Fatal(err)
		}
		var ns []int
		for _, p := range topic.all() {
			part := number(values(t, p, 0))
			if !slices.IsSorted(part) {
				t.Errorf("%s: %v", p, part)
			}
			ns = append(ns, part...)
		}
		slices.Sort(ns)
		all = append(all, ns)
	}
	return all
}

func inOrder(ns []int) bool {
	for i, n := range ns {
		if n != i {
			return false
		}
	}
	return true
}
