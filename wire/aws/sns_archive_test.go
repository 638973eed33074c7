package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
)

// archivedTopic makes a FIFO topic that keeps its messages, and returns its ARN.
func (x *rig) archivedTopic(name string) string {
	x.t.Helper()
	return x.fifoTopic(name, "ContentBasedDeduplication", "true", "ArchivePolicy", `{"MessageRetentionPeriod":"30"}`)
}

// beginning is what a topic has of archives.
func (x *rig) beginning(topic string) string {
	x.t.Helper()
	n := x.snsOK("GetTopicAttributes", "TopicArn", topic)
	return n.entries("Attributes")["BeginningArchiveTime"]
}

func (x *rig) setTopic(topic, name, value string) {
	x.t.Helper()
	x.snsOK("SetTopicAttributes", "TopicArn", topic, "AttributeName", name, "AttributeValue", value)
}

func (x *rig) setSubscription(sub, name, value string) {
	x.t.Helper()
	x.snsOK("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", name, "AttributeValue", value)
}

// from is a policy for all from a time on, to is one up to another time.
func replayFrom(at string) string { return `{"PointType":"Timestamp","StartingPoint":"` + at + `"}` }

func replayTo(from, to string) string {
	return `{"PointType":"Timestamp","StartingPoint":"` + from + `","EndingPoint":"` + to + `"}`
}

// waitForReplay waits until the replay of a subscription has come to a state.
func (x *rig) waitForReplay(sub, want string) {
	x.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		n := x.snsOK("GetSubscriptionAttributes", "SubscriptionArn", sub)
		got := n.entries("Attributes")["ReplayStatus"]
		if got == want {
			return
		}
		if time.Now().After(end) {
			x.t.Fatalf("the replay is %q, want it %q", got, want)
		}
	}
}

// drainAll receives and deletes until there is nothing, and returns the bodies.
func (x *rig) drainAll(queue string) (all []string) {
	x.t.Helper()
	for {
		got := x.drain(queue)
		if got == "" {
			return all
		}
		all = append(all, strings.Fields(got)...)
	}
}

func (x *rig) wantAll(what, queue, want string) {
	x.t.Helper()
	if got := strings.Join(x.drainAll(queue), " "); got != want {
		x.t.Errorf("%s: received %q, want %q", what, got, want)
	}
}

func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

// announceAll publishes numbers from one up to another, in one group.
func (x *rig) announceAll(topic string, from, to int) {
	x.t.Helper()
	for i := from; i < to; i++ {
		x.announceIn(topic, "g", "", strconv.Itoa(i))
	}
}

// archive is the topic that a topic of SNS is kept in; nil: there is none.
func (x *rig) archive(name string) *broker.Topic {
	a, _ := x.b.Topic("", "sns.archive."+name)
	return a
}

// kept reads the messages that an archive has.
func (x *rig) kept(a *broker.Topic) (all []string) {
	x.t.Helper()
	f, err := a.Follow(context.Background(), broker.FollowOptions{From: broker.FromFirst, Wake: make(chan struct{}, 1)})
	if err != nil {
		x.t.Fatal(err)
	}
	defer f.Close()
	for {
		got, err := f.Take(nil, 100)
		if err != nil {
			x.t.Fatal(err)
		}
		if len(got) == 0 {
			return all
		}
		for _, r := range got {
			all = append(all, string(r.Record.Value))
		}
	}
}

// testArchiveCrash cuts the power while messages are published to a topic that keeps them.
func testArchiveCrash(t *testing.T) {
	for seed := range 5 {
		disk := vfs.NewMem()
		x := startOn(t, Config{}, disk)
		topic, q := x.archivedTopic("news.fifo"), x.fifo("orders.fifo")
		x.subscribe(topic, q, "RawMessageDelivery", "true")
		disk.CutAfter(2 + seed*3)
		confirmed := 0
		for i := range 30 {
			if status, _ := x.sns("Publish", "TopicArn", topic, "Message", strconv.Itoa(i), "MessageGroupId", "g"); status != 200 {
				break
			}
			confirmed++
		}
		x.shut()
		y := startOn(t, Config{}, disk.Crash(seeded(uint64(seed))))
		kept := y.kept(y.archive("news.fifo"))
		if got := y.drainAll(y.url() + "/000000000000/orders.fifo"); !slices.Equal(got, kept) || len(kept) < confirmed {
			t.Errorf("seed %d: the queue has %v, the archive %v, %d are confirmed", seed, got, kept, confirmed)
		}
		y.shut()
	}
}

func testArchiveInKafka(t *testing.T) {
	x := start(t, Config{})
	topic := x.archivedTopic("news.fifo")
	sent := x.snsOK("Publish", "TopicArn", topic, "Message", "hello", "MessageGroupId", "g", "MessageAttributes.entry.1.Name", "h",
		"MessageAttributes.entry.1.Value.DataType", "String", "MessageAttributes.entry.1.Value.StringValue", "v")
	id := sent.at("MessageId")
	a := x.archive("news.fifo")
	var buf broker.Buffer
	defer buf.Release()
	if err := a.Partition(0).Read(&buf, 0, 1<<20); err != nil {
		t.Fatal(err)
	}
	for rec, err := range broker.Records(buf.Entries[0].Bytes) {
		headers := map[string]string{}
		for _, h := range rec.Headers {
			headers[h.Key] = string(h.Value)
		}
		if err != nil || string(rec.Value) != "hello" || string(rec.Key) != "g" || len(headers) != 3 ||
			headers["h"] != "v" || headers["message-id"] != id || headers["sns.notice"] == "" {
			t.Errorf("the archive has %v %v, want message-id %s", rec, err, id)
		}
	}
}

func testArchivePolicy(t *testing.T) {
	x, let := startTimed(t, Config{})
	topic := x.archivedTopic("news.fifo")
	x.announceIn(topic, "g", "", "a")
	const month = 30 * 24 * time.Hour
	if a := x.archive("news.fifo"); a.Config().RetentionTime != month || x.beginning(topic) != timeText(a.Created()) {
		t.Errorf("kept for %v, since %s", a.Config().RetentionTime, x.beginning(topic))
	}
	x.setTopic(topic, "ArchivePolicy", `{"MessageRetentionPeriod":2}`)
	if a := x.archive("news.fifo"); a.Config().RetentionTime != 48*time.Hour || len(x.kept(a)) != 1 {
		t.Errorf("after a change kept for %v: %v", a.Config().RetentionTime, x.kept(a))
	}
	let(month)
	if got, want := x.beginning(topic), timeText(x.c.Now().Add(-48*time.Hour)); got != want {
		t.Errorf("after a month it begins at %s, want %s", got, want)
	}
	x.wantSNS(400, "InvalidState", "Invalid state: Cannot delete a topic with an ArchivePolicy", "DeleteTopic", "TopicArn", topic)
	x.restart()
	x.setTopic(topic, "ArchivePolicy", "{}")
	if a := x.archive("news.fifo"); a != nil || x.beginning(topic) != "" {
		t.Errorf("without a policy there is %v, since %s", a, x.beginning(topic))
	}
	x.setTopic(topic, "ArchivePolicy", `{"MessageRetentionPeriod":"2"}`)
	if a := x.archive("news.fifo"); len(x.kept(a)) != 0 {
		t.Errorf("a new archive has %v", x.kept(a))
	}
	x.setTopic(topic, "ArchivePolicy", "")
	x.snsOK("DeleteTopic", "TopicArn", topic)
}

func testReplay(t *testing.T) {
	x, let := startTimed(t, Config{})
	topic, q, other := x.archivedTopic("news.fifo"), x.fifo("orders.fifo"), x.fifo("other.fifo")
	sub := x.subscribe(topic, q)
	x.subscribe(topic, other, "RawMessageDelivery", "true")
	ids := map[string]string{}
	var times []string
	for _, m := range numbers(4) {
		let(time.Second)
		ids[m], _ = x.announceIn(topic, "g", "", m)
		times = append(times, timeText(x.c.Now()))
	}
	first := map[string]object{}
	for _, m := range x.get(q) {
		doc := envelopeOf(x, m)
		first[doc["Message"].(string)] = doc
		x.remove(q, m)
	}
	let(time.Second)
	x.wantAll("the other one at first", other, "0 1 2 3")
	x.setSubscription(sub, "FilterPolicyScope", "MessageBody") // has no effect without a policy
	x.setSubscription(sub, "ReplayPolicy", replayTo(times[1], times[2]))
	x.waitForReplay(sub, "Completed")
	got := x.get(q, "AttributeNames", []string{"All"})
	if len(got) != 2 {
		t.Fatalf("replayed %v", got)
	}
	for i, m := range got {
		doc, want := envelopeOf(x, m), first[strconv.Itoa(i+1)]
		want["Replayed"] = true
		if as := m["Attributes"].(object); !reflect.DeepEqual(doc, want) || as["MessageGroupId"] != "g" || as["MessageDeduplicationId"] == "" {
			t.Errorf("got %v with %v, want %v", doc, as, want)
		}
		x.remove(q, m)
	}
	x.setSubscription(sub, "RawMessageDelivery", "true")
	x.setSubscription(sub, "ReplayPolicy", replayFrom(times[2]))
	x.waitForReplay(sub, "Completed")
	x.wantAll("raw", q, "2 3")
	x.wantAll("the other one", other, "")
}

func TestReplaysAreFilteredAndLeadToKafkaAndAMQP(t *testing.T) {
	x := start(t, Config{})
	topic := x.archivedTopic("news.fifo")
	begin := x.beginning(topic)
	for _, m := range []string{`{"a":1}`, `{"a":2}`, `{"a":1,"b":1}`} {
		x.announceIn(topic, "g", "", m)
	}
	log, err := x.b.CreateTopic(context.Background(), broker.TopicSpec{Name: "log"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.b.DeclareExchange(context.Background(), broker.ExchangeSpec{Name: "fan", Type: "fanout", Durable: true}); err != nil {
		t.Fatal(err)
	}
	q, some := x.queue("orders"), x.queue("some")
	if err := x.b.Bind(context.Background(), broker.Binding{Source: "fan",
		Destination: broker.Name{Kind: broker.KindQueue, Name: "orders"}}); err != nil {
		t.Fatal(err)
	}
	more := []string{"ReplayPolicy", replayFrom(begin), "RawMessageDelivery", "true"}
	subs := []string{x.subscribeTo(topic, "kafka", "log", more...),
		x.subscribeTo(topic, "amqp", "fan#orders", more...)}
	for _, sub := range subs {
		x.waitForReplay(sub, "Completed")
	}
	want := []string{`{"a":1}`, `{"a":2}`, `{"a":1,"b":1}`}
	if got := x.kept(log); !slices.Equal(got, want) {
		t.Errorf("the topic has %v", got)
	}
	x.wantAll("over AMQP", q, strings.Join(want, " "))
	filtered := x.subscribe(topic, some, append(more, "FilterPolicy", `{"a":[1]}`, "FilterPolicyScope", "MessageBody")...)
	x.waitForReplay(filtered, "Completed")
	x.wantAll("filtered", some, want[0]+" "+want[2])
}

func testReplayThenLive(t *testing.T) {
	x := start(t, Config{})
	topic := x.archivedTopic("news.fifo")
	begin := x.beginning(topic)
	const before, all = 100, 200
	x.announceAll(topic, 0, before)
	q := x.fifo("orders.fifo")
	published := make(chan struct{})
	go func() {
		defer close(published)
		x.announceAll(topic, before, all)
	}()
	sub := x.subscribe(topic, q, "RawMessageDelivery", "true", "ReplayPolicy", replayFrom(begin))
	x.waitForReplay(sub, "Completed")
	<-published
	if got := x.drainAll(q); !slices.Equal(got, numbers(all)) {
		t.Errorf("got %v", got)
	}
	x.announceAll(topic, all, all+1)
	x.wantAll("after the replay", q, fmt.Sprint(all))
}

func testReplayEnds(t *testing.T) {
	x, let := startTimed(t, Config{})
	topic, q := x.archivedTopic("news.fifo"), x.fifo("orders.fifo")
	begin := x.beginning(topic)
	sub := x.subscribe(topic, q, "RawMessageDelivery", "true")
	x.announceAll(topic, 0, 2)
	end := timeText(x.c.Now())
	let(time.Minute)
	x.announceAll(topic, 2, 3)
	x.wantAll("at first", q, "0 1 2")
	x.setSubscription(sub, "ReplayPolicy", replayTo(begin, end))
	x.waitForReplay(sub, "Completed")
	x.announceAll(topic, 3, 4)
	x.restart()
	x.announceAll(topic, 4, 5)
	x.wantAll("with an end", q, "0 1")
	x.setSubscription(sub, "ReplayPolicy", replayFrom(end))
	x.waitForReplay(sub, "Completed")
	x.wantAll("with none", q, "0 1 2 3 4")
	x.setSubscription(sub, "ReplayPolicy", replayTo(begin, end))
	x.waitForReplay(sub, "Completed")
	x.setSubscription(sub, "ReplayPolicy", "{}")
	x.announceAll(topic, 5, 6)
	x.wantAll("without a policy", q, "0 1 5")
	x.setSubscription(sub, "ReplayPolicy", replayTo(begin, end))
	x.waitForReplay(sub, "Completed")
	x.setTopic(topic, "ArchivePolicy", "{}")
	x.announceAll(topic, 6, 7)
	x.wantAll("without an archive", q, "0 1 6")
}

// testReplayCrash cuts the power at a random write while a replay runs and messages are published.
func testReplayCrash(t *testing.T) {
	const before = 200
	cut := 0
	for seed := range 12 {
		disk := vfs.NewMem()
		x := startOn(t, Config{}, disk)
		topic, q := x.archivedTopic("news.fifo"), x.fifo("orders.fifo")
		x.announceAll(topic, 0, before)
		begin := x.beginning(topic)
		disk.CutAfter(2 + seed)
		x.sns("Subscribe", "TopicArn", topic, "Protocol", "sqs", "Endpoint", queueARN(q), "Attributes.entry.1.key",
			"RawMessageDelivery", "Attributes.entry.1.value", "true", "Attributes.entry.2.key", "ReplayPolicy",
			"Attributes.entry.2.value", replayFrom(begin))
		for i := before; i < before+10; i++ {
			if status, _ := x.sns("Publish", "TopicArn", topic, "Message", strconv.Itoa(i), "MessageGroupId", "g"); status != 200 {
				break
			}
		}
		x.shut()
		next, begun := replayOn(t, disk.Crash(seeded(uint64(seed))))
		if !begun {
			continue // not even the subscription is on disk
		}
		if next < before {
			cut++
		}
		y := startOn(t, Config{}, disk.Crash(seeded(uint64(seed))))
		subs := y.topics.named("news.fifo").subscriptions()
		y.waitForReplay(y.topics.subscriptionARN(subs[0]), "Completed")
		got := y.drainAll(y.url() + "/000000000000/orders.fifo")
		if want := y.kept(y.archive("news.fifo")); !slices.Equal(got, want) || len(got) < before {
			t.Errorf("seed %d: got %v, want %v", seed, got, want)
		}
		y.shut()
	}
	if cut == 0 {
		t.Error("no replay was cut")
	}
}

// TestAReplayLosesNothingOfAMQP: what AMQP publishes has no order with the end of a replay, but comes once.
func TestAReplayLosesNothingOfAMQP(t *testing.T) {
	x := start(t, Config{})
	const each, publishers = 40, 4
	for round := range 5 {
		name := fmt.Sprintf("news%d.fifo", round)
		topic, q := x.archivedTopic(name), x.queue(fmt.Sprintf("orders%d", round))
		exchange := x.topics.named(name).x
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for i := range each {
					tx := x.b.Begin()
					tx.Publish(exchange, broker.QueueRecord{Key: "k", Body: []byte(strconv.Itoa(p*each + i))})
					if err := commit(context.Background(), tx); err != nil {
						t.Error(err)
					}
				}
			})
		}
		sub := x.subscribe(topic, q, "RawMessageDelivery", "true", "ReplayPolicy", replayFrom(x.beginning(topic)))
		x.waitForReplay(sub, "Completed")
		all.Wait()
		got, want := x.drainAll(q), numbers(publishers*each)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("round %d: %d of %d messages have come: %v", round, len(got), len(want), got)
		}
	}
}

// TestAReplayWaitsForWhatWasHeldBack: AMQP publishes while the replay ends, and commits later.
func TestAReplayWaitsForWhatWasHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64 // until the clock stops
		stopped := make(chan struct{})
		now := func() time.Time {
			if calls.Add(-1) == 0 {
				<-stopped
			}
			return time.Now()
		}
		topics, err := NewTopics(TopicsConfig{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		b, err := broker.Open("data", broker.Config{FS: vfs.NewMem(),
			Props:  map[broker.PropsFormat]broker.PropsReader{broker.PropsSQS: Props{}},
			Relays: map[string]func(*broker.Broker) broker.Relay{TopicType: topics.Relay}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := topics.Deliver(); err != nil {
			t.Fatal(err)
		}
		defer topics.Close(t.Context())
		log, err := b.CreateTopic(t.Context(), broker.TopicSpec{Name: "log"})
		if err != nil {
			t.Fatal(err)
		}
		s, c := &Server{b: b, config: Config{Now: now}, topics: topics}, &call{ctx: t.Context()}
		made, err := s.createTopic(c, &createTopicInput{Name: "news.fifo", Attributes: map[string]string{
			"FifoTopic": "true", "ArchivePolicy": `{"MessageRetentionPeriod":"1"}`}})
		if err != nil {
			t.Fatal(err)
		}
		p := topics.named("news.fifo")
		done, err := p.inOrder(t.Context()) // so that the replay does not come to its end
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.subscribe(c, &subscribeInput{TopicArn: made.TopicArn, Protocol: "kafka", Endpoint: "log",
			Attributes: map[string]string{"RawMessageDelivery": "true", "ReplayPolicy": replayFrom(timeText(time.Now()))}})
		if err != nil {
			t.Fatal(err)
		}
		calls.Store(2) // in the second of two messages: the first has been held back
		committed := make(chan error, 1)
		go func() {
			tx := b.Begin()
			for _, m := range numbers(2) {
				tx.Publish(p.x, broker.QueueRecord{Key: "k", Body: []byte(m)})
			}
			committed <- commit(context.Background(), tx)
		}()
		synctest.Wait()
		done()
		synctest.Wait()
		close(stopped)
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := (&rig{t: t, b: b}).kept(log)
		slices.Sort(got)
		if state := p.subscriptions()[0].replay.now(); !slices.Equal(got, numbers(2)) || state.Status != replayCompleted {
			t.Errorf("the subscription has %v, the replay is %+v", got, state)
		}
	})
}

// replayOn says how far a replay has come on a disk.
func replayOn(t *testing.T, disk vfs.FS) (next int64, begun bool) {
	topics, err := NewTopics(TopicsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Open("data", broker.Config{FS: disk,
		Relays: map[string]func(*broker.Broker) broker.Relay{TopicType: topics.Relay}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, value := range b.Facts(factSpace).All(factReplays) {
		var f replayFact
		if err := json.Unmarshal(value, &f); err != nil {
			t.Fatal(err)
		}
		return f.Next, true
	}
	return 0, false
}

func TestErrorsOfArchivesHaveSNSsWords(t *testing.T) {
	x := start(t, Config{})
	topic, standard, q := x.archivedTopic("news.fifo"), x.topic("news"), x.fifo("orders.fifo")
	bare := x.fifoTopic("bare.fifo")
	if _, err := x.b.CreateTopic(context.Background(), broker.TopicSpec{Name: "sns.archive.bare.fifo"}); err != nil {
		t.Fatal(err)
	}
	sub, of := x.subscribe(topic, q), x.subscribe(standard, x.queue("q"))
	unkept := x.subscribe(bare, q)
	now := time.Now()
	early, late := timeText(now.Add(-time.Hour)), timeText(now.Add(time.Hour))
	here := timeText(now)
	for _, c := range []struct{ on, name, value, message string }{
		{standard, "ArchivePolicy", `{"MessageRetentionPeriod":"30"}`, "ArchivePolicy: Only FIFO topics have it"},
		{topic, "ArchivePolicy", `{`, "ArchivePolicy: Unable to parse JSON"},
		{topic, "ArchivePolicy", `[]`, "ArchivePolicy: Unable to parse JSON"},
		{topic, "ArchivePolicy", `{"Days":"30"}`, "ArchivePolicy: JSON is missing required fields"},
		{topic, "ArchivePolicy", `{"MessageRetentionPeriod":"0"}`, "ArchivePolicy: MessageRetentionPeriod value is invalid"},
		{topic, "ArchivePolicy", `{"MessageRetentionPeriod":366}`, "ArchivePolicy: MessageRetentionPeriod value is invalid"},
		{topic, "ArchivePolicy", `{"MessageRetentionPeriod":null}`, "ArchivePolicy: MessageRetentionPeriod value is invalid"},
		{topic, "BeginningArchiveTime", here, "AttributeName"},
		{bare, "ArchivePolicy", `{"MessageRetentionPeriod":"1"}`,
			"ArchivePolicy Reason: a topic of Kafka has the name sns.archive.bare.fifo"},
		{sub, "ReplayPolicy", `x`, "ReplayPolicy: Unable to parse JSON"},
		{sub, "ReplayPolicy", `{"PointType":"Timestamp"}`, "ReplayPolicy: JSON is missing required fields"},
		{sub, "ReplayPolicy", `{"PointType":"Offset","StartingPoint":"1"}`, "ReplayPolicy: Invalid PointType"},
		{sub, "ReplayPolicy", replayFrom("yesterday"), "ReplayPolicy: Invalid StartingPoint value"},
		{sub, "ReplayPolicy", replayFrom(early), "ReplayPolicy: Invalid StartingPoint value"},
		{sub, "ReplayPolicy", replayFrom(late), "ReplayPolicy: Invalid StartingPoint value"},
		{sub, "ReplayPolicy", replayTo(here, early), "ReplayPolicy: Invalid EndingPoint value"},
		{sub, "ReplayPolicy", replayTo(here, late), "ReplayPolicy: Invalid EndingPoint value"},
		{sub, "ReplayStatus", "Completed", "AttributeName"},
		{unkept, "ReplayPolicy", replayFrom(here), "ReplayPolicy: Topic does not have an ArchivePolicy"},
		{of, "ReplayPolicy", replayFrom(here), "ReplayPolicy: Only FIFO topics have it"},
	} {
		action, arn := "SetTopicAttributes", "TopicArn"
		if c.on == sub || c.on == of || c.on == unkept {
			action, arn = "SetSubscriptionAttributes", "SubscriptionArn"
		}
		x.wantSNS(400, "InvalidParameter", "Invalid parameter: "+c.message, action, arn, c.on, "AttributeName", c.name,
			"AttributeValue", c.value)
	}
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Attributes Reason: ReplayPolicy: Topic does not have an ArchivePolicy",
		"Subscribe", "TopicArn", bare, "Protocol", "sqs", "Endpoint", queueARN("b.fifo"), "Attributes.entry.1.key", "ReplayPolicy",
		"Attributes.entry.1.value", replayFrom(here))
}

// TestReplaysAreBounded: those that cannot go on, since a publish has the turn, count too.
func TestReplaysAreBounded(t *testing.T) {
	x := start(t, Config{})
	x.topics.config.Replays = 1
	topic := x.archivedTopic("news.fifo")
	begin := x.beginning(topic)
	first, second := x.subscribe(topic, x.fifo("a.fifo")), x.subscribe(topic, x.fifo("b.fifo"))
	done, err := x.topics.named("news.fifo").inOrder(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p := x.topics.named("news.fifo")
	s := *p.find(first[strings.LastIndexByte(first, ':')+1:])
	s.replay = makeReplay(&replayPolicy{}, &replayFact{Status: replayPending})
	x.topics.startReplay(&s)
	x.wantSNS(403, "ReplayLimitExceeded", "The limit of 1 replays under way is reached", "SetSubscriptionAttributes",
		"SubscriptionArn", second, "AttributeName", "ReplayPolicy", "AttributeValue", replayFrom(begin))
	done()
	<-s.replay.ended
	x.setSubscription(second, "ReplayPolicy", replayFrom(begin))
	x.waitForReplay(second, "Completed")
}

// TestAReplayWithoutItsArchiveFails: a Kafka client has deleted it.
func TestAReplayWithoutItsArchiveFails(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.archivedTopic("news.fifo"), x.fifo("orders.fifo")
	x.announceAll(topic, 0, 3)
	sub := x.subscribe(topic, q, "RawMessageDelivery", "true")
	p := x.topics.named("news.fifo")
	done, err := p.inOrder(context.Background()) // so that it does not come to its end
	if err != nil {
		t.Fatal(err)
	}
	s := *p.find(sub[strings.LastIndexByte(sub, ':')+1:])
	s.replay = makeReplay(&replayPolicy{}, &replayFact{Status: replayPending})
	p.put(&s)
	x.topics.startReplay(&s)
	for s.replay.now().Next < 3 {
		runtime.Gosched()
	}
	if err := x.b.DeleteTopic(context.Background(), "", "sns.archive.news.fifo"); err != nil {
		t.Fatal(err)
	}
	done()
	x.waitForReplay(sub, "Failed")
	x.announceAll(topic, 3, 4)
	x.wantAll("without an archive", q, "0 1 2 3")
	x.restart()
	x.announceAll(topic, 4, 5)
	if got := x.kept(x.archive("news.fifo")); !slices.Equal(got, []string{"4"}) {
		t.Errorf("a restart makes an archive, which has %v", got)
	}
}

// TestAReplayEndsWithTheWholeArchive begins replays, publishes and restarts at random: whatever came before,
// what the last replay delivers, and what is published during it and after it, is the archive, in order.
func TestAReplayEndsWithTheWholeArchive(t *testing.T) {
	for seed := range uint64(6) {
		rnd := seeded(seed)
		x := startOn(t, Config{}, vfs.NewMem())
		topic, q := x.archivedTopic("news.fifo"), x.fifo("orders.fifo")
		begin := x.beginning(topic)
		sub := x.subscribe(topic, q, "RawMessageDelivery", "true")
		n := 0
		publish := func() {
			to := n + 1 + rnd.IntN(40)
			x.announceAll(topic, n, to)
			n = to
		}
		publish()
		x.setSubscription(sub, "ReplayPolicy", replayFrom(begin))
		for range 12 {
			switch rnd.IntN(4) {
			case 0:
				x.setSubscription(sub, "ReplayPolicy", replayFrom(begin))
			case 1:
				x.restart()
			default:
				publish()
			}
		}
		x.waitForReplay(sub, "Completed")
		publish()
		got, want := x.drainAll(q), x.kept(x.archive("news.fifo"))
		if len(want) != n || len(got) < n || !slices.Equal(got[len(got)-n:], want) {
			t.Errorf("seed %d: got %v, want %v at its end", seed, got, want)
		}
		x.close()
	}
}
