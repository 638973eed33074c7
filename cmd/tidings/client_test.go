package main

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tidings-io/tidings/console"
)

// bothClients are the two ways to the same server.
func bothClients(t *testing.T) map[string]client {
	t.Helper()
	n := startTestNode(t, devDefaults())
	k, err := newKafkaClient(t.Context(), []string{n.kafka.Addr().String()}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	api := newAPIClient(n.admin.Addr().String())
	t.Cleanup(api.Close)
	return map[string]client{"admin API": api, "Kafka": k}
}

// TestClientsDoTheSame runs one story by each client and looks at it by both.
func TestClientsDoTheSame(t *testing.T) {
	clients := bothClients(t)
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			topic := map[string]string{"admin API": "by-api", "Kafka": "by-kafka"}[name]
			s := &story{t: t, c: c, topic: topic, group: topic + "-group"}
			s.create()
			s.publish()
			for _, reader := range clients {
				s.read(reader)
				s.lookAt(reader)
			}
			s.reset()
			s.remove()
		})
	}
}

type story struct {
	t            *testing.T
	c            client
	topic, group string
}

func (s *story) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// refused checks that something fails with an exit code.
func (s *story) refused(err error, exit int) {
	s.t.Helper()
	var f *failure
	if !errors.As(err, &f) || f.exit != exit {
		s.t.Errorf("got %v, want a failure with exit code %d", err, exit)
	}
}

func (s *story) create() {
	ctx := s.t.Context()
	s.must(s.c.CreateTopic(ctx, console.NewTopic{Name: s.topic, Partitions: 2,
		Config: console.TopicConfig{RetentionSeconds: 3600, AppendTime: false}}))
	s.refused(s.c.CreateTopic(ctx, console.NewTopic{Name: s.topic, Partitions: 2}), exitConflict)
	s.must(s.c.GrowTopic(ctx, s.topic, 3))
	_, err := s.c.Topic(ctx, "nothing")
	s.refused(err, exitNotFound)
	s.refused(s.c.DeleteTopic(ctx, "nothing"), exitNotFound)
}

func (s *story) publish() {
	text, part := func(v string) *string { return &v }, 1
	got, err := s.c.Publish(s.t.Context(), s.topic, []console.NewRecord{
		{Partition: &part, Key: text("k"), Value: text("v0")},
		{Partition: &part, Value: text("v1"), Headers: []console.Header{{Key: "h",
			Value: text("x")}}},
		{Partition: &part, ValueBase64: []byte{0xff}},
	})
	s.must(err)
	want := []console.Place{{Topic: s.topic, Partition: 1, Offset: 0},
		{Topic: s.topic, Partition: 1, Offset: 1}, {Topic: s.topic, Partition: 1, Offset: 2}}
	if !reflect.DeepEqual(got, want) {
		s.t.Errorf("got %v, want %v", got, want)
	}
}

func (s *story) read(c client) {
	var got []string
	err := c.Read(s.t.Context(), readRequest{topic: s.topic, from: "1", partitions: []int{1}},
		func(r console.Record) error {
			got = append(got, valueText(r)+"["+headerList(r.Headers)+"]")
			return nil
		})
	s.must(err)
	if want := []string{"v1[h=x]", "\xff[]"}; !slices.Equal(got, want) {
		s.t.Errorf("read: got %q, want %q", got, want)
	}
	s.refused(c.Read(s.t.Context(), readRequest{topic: "nothing", from: "start"}, nil),
		exitNotFound)
	s.refused(c.Read(s.t.Context(), readRequest{topic: s.topic, from: "99"}, nil), exitUsage)
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	err = c.Read(ctx, readRequest{topic: s.topic, from: "start", follow: true, limit: 2},
		func(console.Record) error { return nil })
	s.must(err)
}

func (s *story) lookAt(c client) {
	topics, err := c.Topics(s.t.Context())
	s.must(err)
	i := slices.IndexFunc(topics, func(t console.Topic) bool { return t.Name == s.topic })
	if i < 0 || topics[i].Records != 3 || topics[i].Partitions != 3 {
		s.t.Errorf("topics: got %+v, want 3 records in 3 partitions of %s", topics, s.topic)
	}
	detail, err := c.Topic(s.t.Context(), s.topic)
	s.must(err)
	if detail.Config.RetentionSeconds != 3600 || len(detail.PartitionList) != 3 ||
		detail.PartitionList[1].End != 3 || detail.Config.SegmentBytes != 64<<20 {
		s.t.Errorf("topic: got %+v", detail)
	}
	info, err := c.Info(s.t.Context())
	s.must(err)
	if info.ID == "" || len(info.Listeners) == 0 {
		s.t.Errorf("info: got %+v", info)
	}
}

func (s *story) reset() {
	ctx := s.t.Context()
	want := []console.Change{{Topic: s.topic, Partition: 1, From: -1, To: 1, Lag: 2}}
	plan, err := s.c.Reset(ctx, s.group, console.Reset{Topic: s.topic, Partitions: []int{1},
		To: "1"})
	s.must(err)
	if !reflect.DeepEqual(plan.Changes, want) || plan.Applied {
		s.t.Errorf("plan: got %+v, want %+v", plan, want)
	}
	_, err = s.c.Group(ctx, s.group)
	s.refused(err, exitNotFound) // a plan makes no group
	_, err = s.c.Reset(ctx, s.group,
		console.Reset{Topic: s.topic, Partitions: []int{1}, To: "1", Apply: true})
	s.must(err)
	s.unread()
	doc, err := s.c.Lag(ctx, s.group, s.topic)
	lags := doc.Lag
	s.must(err)
	if len(lags) != 1 || lags[0].Lag != 3 || lags[0].Partitions != 1 ||
		lags[0].LagSeconds < 0 || lags[0].LagSeconds > 60 {
		s.t.Errorf("lag: got %+v, want 3 records, some seconds", lags)
	}
	detail, err := s.c.Group(ctx, s.group)
	s.must(err)
	if len(detail.Cursors) != 3 || detail.Cursors[1].Offset != 1 || detail.Cursors[1].End != 3 {
		s.t.Errorf("group: got %+v, want a cursor at 1 of 3", detail)
	}
	groups, err := s.c.Groups(ctx)
	s.must(err)
	if len(groups) != 1 || groups[0].Name != s.group {
		s.t.Errorf("groups: got %+v, want %s", groups, s.group)
	}
	_, err = s.c.Reset(ctx, s.group, console.Reset{To: "99"})
	s.refused(err, exitUsage)
}

// unread publishes to a partition in which the group has no cursor.
func (s *story) unread() {
	value, part := "x", 2
	_, err := s.c.Publish(s.t.Context(), s.topic,
		[]console.NewRecord{{Partition: &part, Value: &value}})
	s.must(err)
	for _, ask := range []func() (int64, error){
		func() (int64, error) {
			g, err := s.c.Group(s.t.Context(), s.group)
			if err == nil && g.Cursors[2].Offset != -1 {
				s.t.Errorf("group: got a cursor %+v, want none", g.Cursors[2])
			}
			return g.Lag, err
		},
		func() (int64, error) {
			groups, err := s.c.Groups(s.t.Context())
			return groups[0].Lag, err
		},
		func() (int64, error) {
			t, err := s.c.Topic(s.t.Context(), s.topic)
			return t.Lag, err
		},
	} {
		lag, err := ask()
		s.must(err)
		if lag != 3 {
			s.t.Errorf("lag: got %d, want 3", lag)
		}
	}
}

func (s *story) remove() {
	ctx := s.t.Context()
	s.must(s.c.DeleteGroup(ctx, s.group))
	s.refused(s.c.DeleteGroup(ctx, s.group), exitNotFound)
	s.must(s.c.DeleteTopic(ctx, s.topic))
}

func TestWrongInputIsWrongUsageByBothClients(t *testing.T) {
	n := startTestNode(t, devDefaults())
	says(t, exitOK, "created topic kt", "create", "kt:4", "--server", n.admin.Addr().String())
	for _, server := range []string{"--server=" + n.admin.Addr().String(),
		"--kafka=" + n.kafka.Addr().String()} {
		const noPartition = "topic kt has no partition 9 (it has 4, from 0)"
		says(t, exitUsage, noPartition, "pub", "kt", "x", "-p", "9", server)
		says(t, exitUsage, noPartition, "sub", "kt", "-e", "-p", "9", server)
		says(t, exitUsage, noPartition, "sub", "kt", "-e", "-p", "0,9", server)
		says(t, exitUsage, "grow topic kt: 1 partitions wanted, it has 4",
			"create", "kt:1", "--grow", server)
		says(t, exitUsage, "letters, digits, '.', '_' and '-'", "pub", "bad name", "v", server)
		says(t, exitUsage, "letters, digits, '.', '_' and '-'", "create", "bad name", server)
		says(t, exitUsage, "there is no partition 9 to reset", "reset", "g", "kt", "--to", "start",
			"-p", "9", server)
	}
}

func TestRetentionIsShownAlikeByBothClients(t *testing.T) {
	clients := bothClients(t)
	adm := clients["Kafka"].(*kafkaClient).adm
	for ms, want := range map[string]int64{"-1": -1, "1": 1, "500": 1, "1000": 1, "1001": 2,
		"604800000": 604800} {
		topic := "kept" + ms
		if _, err := adm.CreateTopic(t.Context(), 1, 1, map[string]*string{"retention.ms": &ms},
			topic); err != nil {
			t.Fatal(err)
		}
		for name, c := range clients {
			got, err := c.Topic(t.Context(), topic)
			if err != nil || got.Config.RetentionSeconds != want {
				t.Errorf("retention.ms %s by %s: got %d s, %v, want %d s",
					ms, name, got.Config.RetentionSeconds, err, want)
			}
		}
	}
}

func TestKeysGoToTheSamePartitionByBothClients(t *testing.T) {
	n := startTestNode(t, devDefaults())
	if err := newAPIClient(n.admin.Addr().String()).CreateTopic(t.Context(),
		console.NewTopic{Name: "orders", Partitions: 7}); err != nil {
		t.Fatal(err)
	}
	var recs []console.NewRecord
	for i := range 50 {
		key := plain(i * i)
		recs = append(recs, console.NewRecord{Key: &key})
	}
	k, err := newKafkaClient(t.Context(), []string{n.kafka.Addr().String()}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	var got [2][]int
	for i, c := range []client{newAPIClient(n.admin.Addr().String()), k} {
		places, err := c.Publish(t.Context(), "orders", recs)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range places {
			got[i] = append(got[i], p.Partition)
		}
	}
	if !slices.Equal(got[0], got[1]) {
		t.Errorf("admin API %v\nKafka     %v", got[0], got[1])
	}
}
