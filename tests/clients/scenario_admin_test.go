package clients

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// adminStage is a broker, the judge and the client's own admin.
func adminStage(t *testing.T, d driver) (*server.Server, judge, admin) {
	t.Helper()
	s := server.Start(t)
	a, err := d.admin(bounded(t), s.Kafka)
	if err != nil {
		t.Fatalf("admin client: %v", err)
	}
	t.Cleanup(a.close)
	return s, newJudge(t, s), a
}

// wantErr compares what the broker answered; nil is success.
func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func topicsComeAndGo(t *testing.T, d driver) {
	s, j, a := adminStage(t, d)
	ctx := bounded(t)
	wantErr(t, "create", a.createTopic(ctx, "orders", 3, nil), nil)
	wantPartitions(t, j, "orders", 3)
	wantErr(t, "create again", a.createTopic(ctx, "orders", 3, nil), topicExists)
	send(t, d, s.Kafka, produceOptions{compression: "none"}, keyed("orders", 0, 10))
	wantErr(t, "delete", a.deleteTopic(ctx, "orders"), nil)
	wantErr(t, "delete again", a.deleteTopic(ctx, "orders"), unknownTopic)
	wantErr(t, "create anew", a.createTopic(ctx, "orders", 1, nil), nil)
	wantPartitions(t, j, "orders", 1)
	sent := keyed("orders", 10, 10)
	send(t, d, s.Kafka, produceOptions{compression: "none"}, sent)
	wantInOrder(t, j.stored("orders", 10), sent)
}

func wantPartitions(t *testing.T, j judge, topic string, want int) {
	t.Helper()
	fresh, err := newFranzAdmin(j.seed) // the judge remembers metadata for a while
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.close()
	all, err := fresh.ListTopics(bounded(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(all[topic].Partitions); got != want {
		t.Fatalf("partitions of %s: got %d, want %d", topic, got, want)
	}
}

func partitionsAreAdded(t *testing.T, d driver) {
	_, j, a := adminStage(t, d)
	j.makeTopic("orders", 2)
	ctx := bounded(t)
	wantErr(t, "add", a.addPartitions(ctx, "orders", 5), nil)
	wantPartitions(t, j, "orders", 5)
	wantErr(t, "take away", a.addPartitions(ctx, "orders", 2), badPartitions)
}

func configIsDescribed(t *testing.T, d driver) {
	_, j, a := adminStage(t, d)
	ctx := bounded(t)
	given := map[string]string{"retention.ms": "3600000", "max.message.bytes": "2000000"}
	if err := j.createTopic(ctx, "orders", 1, given); err != nil {
		t.Fatal(err)
	}
	got, err := a.topicConfig(ctx, "orders")
	wantErr(t, "describe", err, nil)
	given["cleanup.policy"] = "delete"
	maps.DeleteFunc(got, func(name, _ string) bool { _, asked := given[name]; return !asked })
	if !maps.Equal(got, given) {
		t.Fatalf("config: got %v, want %v", got, given)
	}
	_, err = a.topicConfig(ctx, "nowhere")
	wantErr(t, "describe an unknown topic", err, unknownTopic)
}

func groupsAreAdministered(t *testing.T, d driver) {
	g := newGroupStage(t, d, 2)
	a, err := d.admin(bounded(t), g.s.Kafka)
	if err != nil {
		t.Fatalf("admin client: %v", err)
	}
	t.Cleanup(a.close)
	ctx := bounded(t)
	m := g.join("a")
	g.awaitValues("a reads", g.feed(10))
	g.j.awaitCommitted("billing", "orders", 10)
	wantGroups(t, ctx, a, []string{"billing"})
	wantDescribed(t, ctx, a, groupState{"Stable", 1})
	wantErr(t, "delete with a member", a.deleteGroup(ctx, "billing"), nonEmptyGroup)
	m.leave()
	wantDescribed(t, ctx, a, groupState{"Empty", 0})
	wantErr(t, "delete", a.deleteGroup(ctx, "billing"), nil)
	wantErr(t, "delete again", a.deleteGroup(ctx, "billing"), groupNotFound)
	wantGroups(t, ctx, a, nil)
}

func wantGroups(t *testing.T, ctx context.Context, a admin, want []string) {
	t.Helper()
	got, err := a.listGroups(ctx)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("groups: got %q (error %v), want %q", got, err, want)
	}
}

func wantDescribed(t *testing.T, ctx context.Context, a admin, want groupState) {
	t.Helper()
	got, err := a.describeGroup(ctx, "billing")
	if err != nil || got != want {
		t.Fatalf("group: got %+v (error %v), want %+v", got, err, want)
	}
}

// offsetsByTime: the first record at or after a time is found in each partition.
func offsetsByTime(t *testing.T, d driver) {
	s, j, a := adminStage(t, d)
	j.makeTopic("times", 3)
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range 30 {
		r := &kgo.Record{
			Topic: "times", Partition: int32(i % 3), Value: fmt.Append(nil, i),
			Timestamp: base.Add(time.Duration(i/3) * time.Second),
		}
		if err := client.ProduceSync(bounded(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{-time.Hour, 0}, {0, 0}, {4500 * time.Millisecond, 5}, {9 * time.Second, 9}} {
		got, err := a.offsetsAt(bounded(t), "times", base.Add(c.after))
		want := map[int32]int64{0: c.want, 1: c.want, 2: c.want}
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("%v after the first: got %v (error %v), want %v", c.after, got, err, want)
		}
	}
}

// recordsAreDeleted: readers start behind what was deleted.
func recordsAreDeleted(t *testing.T, d driver) {
	s, j, a := adminStage(t, d)
	j.makeTopic("orders", 1)
	sent := keyed("orders", 0, 20)
	send(t, franz{}, s.Kafka, produceOptions{compression: "none", idempotent: true}, sent)
	wantErr(t, "delete", a.deleteRecords(bounded(t), "orders", 7), nil)
	got := read(t, d, s.Kafka, "orders", 13)
	if first := sorted(got)[0].Offset; first != 7 {
		t.Fatalf("first offset: got %d, want 7", first)
	}
	wantInOrder(t, got, sent[7:])
}
