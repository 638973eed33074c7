package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicNames asks for metadata and returns the topics that came without an error.
func topicNames(c *client, version int16, q *kmsg.MetadataRequest) []string {
	c.t.Helper()
	got := []string{}
	for _, t := range ask[*kmsg.MetadataResponse](c, version, q).Topics {
		if t.ErrorCode == errNone {
			got = append(got, *t.Topic)
		}
	}
	return got
}

// Another client's changes are not on disk yet: who is refused because of them must wait as well.
func TestTopicsAreRefusedByWhatIsOnDisk(t *testing.T) {
	disk := vfs.NewMem()
	fs := vfs.NewFaulty(disk)
	var still sync.RWMutex // the disk stands still while it is locked
	fs.FailIf(func(c vfs.Call) error {
		if c.Op == vfs.OpWrite || c.Op == vfs.OpSync {
			still.RLock()
			defer still.RUnlock()
		}
		return nil
	})
	r := serveOn(t, disk, openBroker(t, fs))
	r.topic("old", 1)
	r.topic("small", 1)
	create := versioned(5, kmsg.NewPtrCreateTopicsRequest())
	create.Topics = []kmsg.CreateTopicsRequestTopic{
		{Topic: "new", NumPartitions: 1, ReplicationFactor: 1},
	}
	del := versioned(5, kmsg.NewPtrDeleteTopicsRequest())
	del.TopicNames = []string{"old"}
	grow := versioned(3, kmsg.NewPtrCreatePartitionsRequest())
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "small", Count: 3}}
	create.TimeoutMillis, del.TimeoutMillis, grow.TimeoutMillis = 20, 20, 20

	still.Lock()
	defer still.Unlock()
	c := r.dial()
	for range 2 { // the change, and the one that is refused because of it
		for _, q := range []kmsg.Request{create, del, grow} {
			same(t, kmsg.NameForKey(q.Key()), errorCodes(valueOf(c.do(q))), []code{errRequestTimedOut})
		}
	}
}

// Between the look for a topic and its deletion another client may delete it and create one of
// that name.
func TestDeletingSparesTheTopicThatHasTheNameNow(t *testing.T) {
	r := serve(t)
	ctx := context.Background()
	c := newConn(r.server, r.dial().conn)
	for name, ask := range map[string]func(*broker.Topic) (kmsg.DeleteTopicsResponseTopic, code){
		"by id": func(t *broker.Topic) (kmsg.DeleteTopicsResponseTopic, code) {
			return kmsg.DeleteTopicsResponseTopic{TopicID: t.ID()}, errUnknownTopicID
		},
		"by name": func(*broker.Topic) (kmsg.DeleteTopicsResponseTopic, code) {
			return kmsg.DeleteTopicsResponseTopic{Topic: ptr("t")}, errUnknownTopicOrPartition
		},
	} {
		out, want := ask(r.topic("t", 1))
		found, err := c.topicToDelete(&out)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.broker.DeleteTopic(ctx, "", "t"); err != nil {
			t.Fatal(err)
		}
		again := r.topic("t", 1)
		same(t, name, codeOf(c.deleteFound(ctx, found, &out)), want)
		if got, err := r.broker.Topic("", "t"); got != again || err != nil {
			t.Fatalf("%s: got %v %v, want the topic that was created again", name, got, err)
		}
		if err := r.broker.DeleteTopic(ctx, "", "t"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNullTopicsAreAllTopics(t *testing.T) {
	r := serve(t)
	r.topic("a", 1)
	r.topic("b", 1)
	if _, err := r.broker.CreateTopic(context.Background(), broker.TopicSpec{
		Namespace: "elsewhere", Name: "c", Partitions: 1,
	}); err != nil {
		t.Fatal(err)
	}
	c := r.dial()
	all := kmsg.NewPtrMetadataRequest()
	none := kmsg.NewPtrMetadataRequest()
	none.Topics = []kmsg.MetadataRequestTopic{}
	same(t, "null", topicNames(c, 1, all), []string{"a", "b"})
	same(t, "empty", topicNames(c, 1, none), []string{})
	same(t, "empty in version 0", topicNames(c, 0, none), []string{"a", "b"})
}

func TestTopicsAreCreatedWhereThatIsAllowed(t *testing.T) {
	want := func(version int16, allow bool, name string) *kmsg.MetadataRequest {
		q := kmsg.NewPtrMetadataRequest()
		q.AllowAutoTopicCreation = allow
		q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{Topic: &name})
		return versioned(version, q)
	}
	r := serve(t, func(c *Config) { c.AutoCreate, c.DefaultPartitions = true, 3 })
	c := r.dial()
	for _, k := range []struct {
		query *kmsg.MetadataRequest
		codes []code
	}{
		{want(12, false, "a"), []code{errUnknownTopicOrPartition}},
		{want(12, true, "a"), nil},
		{want(12, true, "a"), nil},
		{want(1, false, "b"), nil}, // before version 4 asking was creating
		{want(12, true, "no good"), []code{errInvalidTopic}},
	} {
		same(t, "codes", errorCodes(valueOf(c.do(k.query))), k.codes)
	}
	made, err := r.broker.Topic("", "a")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "partitions", made.Partitions(), 3)

	off := serve(t)
	got := off.dial().do(want(12, true, "a"))
	same(t, "not allowed here", errorCodes(valueOf(got)), []code{errUnknownTopicOrPartition})
}

func TestAutoCreatedTopicSurvivesKill(t *testing.T) {
	auto := func(c *Config) { c.AutoCreate = true }
	r := serve(t, auto)
	c := r.dial()
	q := kmsg.NewPtrMetadataRequest()
	q.AllowAutoTopicCreation = true
	q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{Topic: ptr("t")})
	before := ask[*kmsg.MetadataResponse](c, 12, q)
	same(t, "produce", produced(c, "t", batch(t, "a")).ErrorCode, errNone)
	c = r.kill(auto).dial()
	after := ask[*kmsg.MetadataResponse](c, 12, q)
	same(t, "metadata", after.Topics, before.Topics)
	same(t, "cluster", after.ClusterID, before.ClusterID)
	got := fetched(c, 12, fetchRequest("t", [16]byte{}, 0))
	same(t, "values", values(t, got.RecordBatches), []string{"a"})
}

func TestTopicsAskedForTwiceAreAnsweredOnce(t *testing.T) {
	r := serve(t)
	r.topic("a", 1)
	q := kmsg.NewPtrMetadataRequest()
	for range 1000 {
		q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{Topic: ptr("a")})
	}
	same(t, "topics", topicNames(r.dial(), 12, q), []string{"a"})
}

func TestRecreatedTopicHasAnotherID(t *testing.T) {
	r := serve(t)
	first := r.topic("t", 1)
	if err := r.broker.DeleteTopic(context.Background(), "", "t"); err != nil {
		t.Fatal(err)
	}
	second := r.topic("t", 1)
	c := r.dial()
	same(t, "old", fetched(c, 13, fetchRequest("", first.ID(), 0)).ErrorCode, errUnknownTopicID)
	q := fetchRequest("", second.ID(), 0)
	q.MaxWaitMillis = 1
	same(t, "new", fetched(c, 13, q).ErrorCode, errNone)
}

func TestTopicOfAnotherNamespaceIsNotThere(t *testing.T) {
	r := serve(t)
	other, err := r.broker.CreateTopic(context.Background(), broker.TopicSpec{
		Namespace: "elsewhere", Name: "c", Partitions: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := r.dial()
	same(t, "by name", fetched(c, 12, fetchRequest("c", [16]byte{}, 0)).ErrorCode,
		errUnknownTopicOrPartition)
	same(t, "by id", fetched(c, 13, fetchRequest("", other.ID(), 0)).ErrorCode, errUnknownTopicID)
}

func TestListOffsetsKnowsTheSpecialTimes(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	r.topic("none", 1)
	r.write(topic, 0, "a", "b", "c")
	if _, err := topic.Partition(0).Trim(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	c := r.dial()
	last := recordTime(2).UnixMilli()
	for _, k := range []struct {
		topic string
		time  int64
		want  [3]int64 // offset, time, epoch
	}{
		{"t", timeLatest, [3]int64{3, -1, 0}},
		{"t", timeEarliest, [3]int64{1, -1, 0}},
		{"t", timeGreatest, [3]int64{2, last, 0}},
		{"t", timeEarliestLocal, [3]int64{1, -1, 0}},
		{"t", timeLatestTiered, [3]int64{-1, -1, -1}},
		{"t", timeNextUpload, [3]int64{-1, -1, -1}},
		{"t", 0, [3]int64{1, recordTime(1).UnixMilli(), 0}},
		{"t", last, [3]int64{2, last, 0}},
		{"t", last + 1, [3]int64{-1, -1, -1}},
		{"none", timeLatest, [3]int64{0, -1, 0}},
		{"none", timeGreatest, [3]int64{-1, -1, -1}},
		{"none", 0, [3]int64{-1, -1, -1}},
	} {
		resp := ask[*kmsg.ListOffsetsResponse](c, 11, listWrong(k.topic, 0, k.time, -1)(nil))
		p := resp.Topics[0].Partitions[0]
		got := [3]int64{p.Offset, p.Timestamp, int64(p.LeaderEpoch)}
		if p.ErrorCode != errNone || got != k.want {
			t.Errorf("%s at %d: got %v with error %d, want %v",
				k.topic, k.time, got, p.ErrorCode, k.want)
		}
	}
}

func TestSettingsAreShownWithTheirSource(t *testing.T) {
	r := serve(t, func(c *Config) { c.AutoCreate, c.DefaultPartitions = true, 4 })
	c := r.dial()
	create := createWith("segment.ms", ptr("1000"))(nil).(*kmsg.CreateTopicsRequest)
	create.Topics[0].Configs = append(create.Topics[0].Configs,
		[]kmsg.CreateTopicsRequestTopicConfig{
			{Name: "message.timestamp.type", Value: ptr("LogAppendTime")},
			{Name: "retention.ms", Value: ptr("-1")},
			{Name: "min.insync.replicas", Value: ptr("2")},
			{Name: "cleanup.policy", Value: ptr("delete")},
		}...)
	created := ask[*kmsg.CreateTopicsResponse](c, 7, create)
	same(t, "create", errorCodes(valueOf(created)), []code(nil))
	q := kmsg.NewPtrDescribeConfigsRequest()
	q.Resources = []kmsg.DescribeConfigsRequestResource{
		{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "never"},
		{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"},
		{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: ""},
	}
	resp := ask[*kmsg.DescribeConfigsResponse](c, 4, q)
	got := map[string]string{}
	for _, res := range resp.Resources {
		names := []string{}
		for _, s := range res.Configs {
			got[s.Name] = *s.Value + " " + s.Source.String()
			names = append(names, s.Name)
		}
		if !slices.IsSorted(names) {
			t.Errorf("%s %q: got %v, want them sorted", res.ResourceType, res.ResourceName, names)
		}
	}
	for name, want := range map[string]string{
		"segment.ms":                "1000 DYNAMIC_TOPIC_CONFIG",
		"message.timestamp.type":    "LogAppendTime DYNAMIC_TOPIC_CONFIG",
		"retention.ms":              "-1 DYNAMIC_TOPIC_CONFIG",
		"min.insync.replicas":       "1 DEFAULT_CONFIG", // the broker's, which comes last
		"max.message.bytes":         "1048588 DEFAULT_CONFIG",
		"retention.bytes":           "-1 DEFAULT_CONFIG",
		"auto.create.topics.enable": "true STATIC_BROKER_CONFIG",
		"num.partitions":            "4 STATIC_BROKER_CONFIG",
		"max.connections":           "10000 DEFAULT_CONFIG",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	same(t, "dynamic broker settings", len(resp.Resources[2].Configs), 0)
	for i := range created.Topics[0].Configs {
		a, b := created.Topics[0].Configs[i], resp.Resources[0].Configs[i]
		if a.Name != b.Name || *a.Value != *b.Value || a.Source != int8(b.Source) {
			t.Errorf("created with %s=%s from %d, described as %s=%s from %d",
				a.Name, *a.Value, a.Source, b.Name, *b.Value, b.Source)
		}
	}
}

func TestEveryDefaultIsAllowed(t *testing.T) {
	for i := range topicSettings {
		s := &topicSettings[i]
		var c broker.TopicConfig
		if err := s.apply(&c, s.def); err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if got, _ := s.value(&c, &c); got != s.def {
			t.Errorf("%s: got %q back, want %q", s.name, got, s.def)
		}
	}
}

func TestShortestSettingsAreNotTheDefault(t *testing.T) {
	for name, want := range map[string]string{
		"retention.ms": "0", "retention.bytes": "1", "message.timestamp.after.max.ms": "0",
		"max.message.bytes": "1",
	} {
		s := topicSettingNamed(name)
		var c broker.TopicConfig
		if err := s.apply(&c, "0"); err != nil {
			t.Fatal(err)
		}
		if got, set := s.value(&c, &c); got != want || !set {
			t.Errorf("%s: got %q, set %v, want %q, set", name, got, set, want)
		}
	}
}

func TestQuestionsWithLongAnswersAreBounded(t *testing.T) {
	r := serve(t)
	q := kmsg.NewPtrDescribeConfigsRequest()
	for i := range mostTopics + 2 {
		q.Resources = append(q.Resources, kmsg.DescribeConfigsRequestResource{
			ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: fmt.Sprint("t", i),
		})
	}
	count := map[code]int{}
	for _, c := range errorCodes(valueOf(r.dial().do(versioned(4, q)))) {
		count[c]++
	}
	same(t, "codes", count, map[code]int{
		errUnknownTopicOrPartition: mostTopics, errInvalidRequest: 2,
	})
}

func TestValidatingCreatesNothing(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	c := r.dial()
	create := createWrong(func(*kmsg.CreateTopicsRequestTopic) {})(nil).(*kmsg.CreateTopicsRequest)
	create.ValidateOnly = true
	resp := ask[*kmsg.CreateTopicsResponse](c, 7, create)
	same(t, "create", errorCodes(valueOf(resp)), []code(nil))
	same(t, "partitions", resp.Topics[0].NumPartitions, int32(1))
	grow := growWrong("t", 5)(nil).(*kmsg.CreatePartitionsRequest)
	grow.ValidateOnly = true
	same(t, "grow", errorCodes(valueOf(c.do(versioned(3, grow)))), []code(nil))
	same(t, "topics", topicNames(c, 12, kmsg.NewPtrMetadataRequest()), []string{"t"})
	topic, _ := r.broker.Topic("", "t")
	same(t, "partitions", topic.Partitions(), 1)
}
