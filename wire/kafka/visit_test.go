package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// visit is one valid request in one version, over a real connection.
type visit struct {
	*testing.T
	rig     *rig
	client  *client
	version int16
	name    string // of a topic or group that is this visit's own
}

// do sends the request in the visit's version.
func (v *visit) do(q kmsg.Request) kmsg.Response {
	v.Helper()
	q.SetVersion(v.version)
	return v.client.do(q)
}

// naming is how the version names a topic: by its name, or since some version by its id.
func (v *visit) naming(since int16, t *broker.Topic) (name string, id [16]byte) {
	if v.version >= since {
		return "", t.ID()
	}
	return t.Name().Name, id
}

// visits has one entry for every served request. TestEveryServedVersionIsVisited fails for one
// that is missing.
var visits = map[string]func(v *visit){
	"Produce":              visitProduce,
	"Fetch":                visitFetch,
	"ListOffsets":          visitListOffsets,
	"Metadata":             visitMetadata,
	"OffsetCommit":         visitOffsetCommit,
	"OffsetFetch":          visitOffsetFetch,
	"FindCoordinator":      visitFindCoordinator,
	"JoinGroup":            visitJoinGroup,
	"Heartbeat":            visitHeartbeat,
	"LeaveGroup":           visitLeaveGroup,
	"SyncGroup":            visitSyncGroup,
	"DescribeGroups":       visitDescribeGroups,
	"ListGroups":           visitListGroups,
	"ApiVersions":          visitAPIVersions,
	"CreateTopics":         visitCreateTopics,
	"DeleteTopics":         visitDeleteTopics,
	"DeleteRecords":        visitDeleteRecords,
	"InitProducerId":       visitInitProducerID,
	"OffsetForLeaderEpoch": visitOffsetForLeaderEpoch,
	"DescribeConfigs":      visitDescribeConfigs,
	"CreatePartitions":     visitCreatePartitions,
	"DeleteGroups":         visitDeleteGroups,
	"OffsetDelete":         visitOffsetDelete,
	"DescribeCluster":      visitDescribeCluster,
}

func TestEveryServedVersionIsVisited(t *testing.T) {
	r := serve(t)
	for _, s := range Served() {
		f := visits[s.Name]
		if f == nil {
			t.Errorf("%s is served and not visited", s.Name)
			continue
		}
		for v := s.Min; v <= s.Max; v++ {
			t.Run(fmt.Sprintf("%s/%d", s.Name, v), func(t *testing.T) {
				r.t = t
				f(&visit{t, r, r.dial(), v, fmt.Sprintf("visit-%s-%d", s.Name, v)})
			})
		}
	}
	r.t = t
}

func visitProduce(v *visit) {
	topic := v.rig.topic(v.name, 1)
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 5000
	in := kmsg.NewProduceRequestTopic()
	in.Topic, in.TopicID = v.naming(13, topic)
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = batch(v, "a", "b")
	in.Partitions = append(in.Partitions, part)
	q.Topics = append(q.Topics, in)
	resp := v.do(q).(*kmsg.ProduceResponse)

	got := resp.Topics[0].Partitions[0]
	want := kmsg.NewProduceResponseTopicPartition()
	if v.version < 3 { // advertised, not served
		want.ErrorCode, want.BaseOffset = errUnsupportedVersion, -1
	} else if v.version >= 5 {
		want.LogStartOffset = 0
	}
	same(v, "partition", got, want)
	same(v, "topic", resp.Topics[0].Topic, in.Topic)
	same(v, "id", resp.Topics[0].TopicID, in.TopicID)
	if _, end := topic.Partition(0).Bounds(); v.version >= 3 && end != 2 {
		v.Fatalf("got end %d when the answer is there, want 2: it is durable", end)
	}
}

// fetchRequest asks for one partition from an offset on.
func fetchRequest(name string, id [16]byte, offset int64) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes = 100, 1, 1<<20
	in := kmsg.NewFetchRequestTopic()
	in.Topic, in.TopicID = name, id
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes = offset, 1<<20
	in.Partitions = append(in.Partitions, part)
	q.Topics = append(q.Topics, in)
	return q
}

func visitFetch(v *visit) {
	topic := v.rig.topic(v.name, 1)
	v.rig.write(topic, 0, "a", "b", "c")
	name, id := v.naming(13, topic)
	q := fetchRequest(name, id, 1)
	q.IsolationLevel = 1
	resp := v.do(q).(*kmsg.FetchResponse)
	same(v, "error", resp.ErrorCode, errNone)
	same(v, "session", resp.SessionID, int32(0))
	same(v, "topic", resp.Topics[0].Topic, name)
	same(v, "id", resp.Topics[0].TopicID, id)
	got := resp.Topics[0].Partitions[0]
	same(v, "values", values(v, got.RecordBatches), []string{"b", "c"})
	got.RecordBatches = nil
	want := kmsg.NewFetchResponseTopicPartition()
	want.HighWatermark, want.LastStableOffset = 3, 3
	want.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	if v.version >= 5 {
		want.LogStartOffset = 0
	}
	same(v, "partition", got, want)
}

// values decodes the batches of a fetch.
func values(t testing.TB, raw []byte) []string {
	t.Helper()
	all := []string{}
	for len(raw) > 0 {
		size := 12 + int(raw[8])<<24 + int(raw[9])<<16 + int(raw[10])<<8 + int(raw[11])
		for rec, err := range broker.Records(raw[:size]) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(rec.Value))
		}
		raw = raw[size:]
	}
	return all
}

func visitListOffsets(v *visit) {
	topic := v.rig.topic(v.name, 1)
	v.rig.write(topic, 0, "a", "b", "c")
	q := kmsg.NewPtrListOffsetsRequest()
	in := kmsg.NewListOffsetsRequestTopic()
	in.Topic = v.name
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Timestamp = recordTime(1).UnixMilli()
	in.Partitions = append(in.Partitions, part)
	q.Topics = append(q.Topics, in)
	resp := v.do(q).(*kmsg.ListOffsetsResponse)
	want := kmsg.NewListOffsetsResponseTopicPartition()
	if v.version == 0 {
		want.OldStyleOffsets = []int64{1}
	} else {
		want.Offset, want.Timestamp = 1, recordTime(1).UnixMilli()
	}
	if v.version >= 4 {
		want.LeaderEpoch = 0
	}
	same(v, "partition", resp.Topics[0].Partitions[0], want)
}

func visitMetadata(v *visit) {
	topic := v.rig.topic(v.name, 2)
	q := kmsg.NewPtrMetadataRequest()
	in := kmsg.NewMetadataRequestTopic()
	in.Topic = &v.name
	if v.version >= 12 {
		in.Topic, in.TopicID = nil, topic.ID()
	}
	q.Topics = append(q.Topics, in)
	q.IncludeTopicAuthorizedOperations = true
	resp := v.do(q).(*kmsg.MetadataResponse)
	host, port := hostPort(v, v.client)
	same(v, "brokers", resp.Brokers, []kmsg.MetadataResponseBroker{
		{NodeID: 1, Host: host, Port: port},
	})
	if v.version >= 1 {
		same(v, "controller", resp.ControllerID, int32(1))
	}
	if v.version >= 2 {
		same(v, "cluster", *resp.ClusterID, encodeID(v.rig.broker.ID()))
	}
	want := kmsg.NewMetadataResponseTopic()
	want.Topic = &v.name
	for i := range int32(2) {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.Replicas, p.ISR = i, 1, []int32{1}, []int32{1}
		if v.version >= 7 {
			p.LeaderEpoch = 0
		}
		want.Partitions = append(want.Partitions, p)
	}
	if v.version >= 8 {
		want.AuthorizedOperations = topicOperations
	}
	if v.version >= 10 {
		want.TopicID = topic.ID()
	}
	same(v, "topics", resp.Topics, []kmsg.MetadataResponseTopic{want})
}

// hostPort is the address that a client has dialled.
func hostPort(t testing.TB, c *client) (string, int32) {
	t.Helper()
	e, err := advertised("", c.conn.RemoteAddr())
	if err != nil {
		t.Fatal(err)
	}
	return e.host, e.port
}

func visitAPIVersions(v *visit) {
	q := kmsg.NewPtrApiVersionsRequest()
	q.ClientSoftwareName, q.ClientSoftwareVersion = "test", "1.0"
	resp := v.do(q).(*kmsg.ApiVersionsResponse)
	same(v, "error", resp.ErrorCode, errNone)
	var got []ServedRequest
	for _, k := range resp.ApiKeys {
		e := lookup(k.ApiKey) // name and From are not told
		got = append(got, ServedRequest{k.ApiKey, e.Name, k.MinVersion, k.MaxVersion, e.From})
	}
	same(v, "keys", got, Served())
	if v.version >= 3 {
		same(v, "features", resp.FinalizedFeatures, []kmsg.ApiVersionsResponseFinalizedFeature{
			{Name: "metadata.version", MinVersionLevel: 29, MaxVersionLevel: 29},
		})
	}
}

func visitCreateTopics(v *visit) {
	q := kmsg.NewPtrCreateTopicsRequest()
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = v.name, 3, 3
	in.Configs = append(in.Configs, kmsg.CreateTopicsRequestTopicConfig{
		Name: "retention.ms", Value: ptr("60000"),
	})
	q.Topics = append(q.Topics, in)
	resp := v.do(q).(*kmsg.CreateTopicsResponse)
	topic, err := v.rig.broker.Topic("", v.name)
	if err != nil {
		v.Fatal(err)
	}
	same(v, "partitions", topic.Partitions(), 3)
	same(v, "retention", topic.Config().RetentionTime, time.Minute)
	got := resp.Topics[0]
	same(v, "error", got.ErrorCode, errNone)
	if v.version >= 5 {
		same(v, "numbers", []int{int(got.NumPartitions), int(got.ReplicationFactor)}, []int{3, 1})
		same(v, "settings", len(got.Configs), len(topicSettings))
	}
	if v.version >= 7 {
		same(v, "id", got.TopicID, [16]byte(topic.ID()))
	}
}

func visitDeleteTopics(v *visit) {
	topic := v.rig.topic(v.name, 1)
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.TopicNames = []string{v.name}
	in := kmsg.NewDeleteTopicsRequestTopic()
	in.TopicID = topic.ID()
	q.Topics = append(q.Topics, in)
	resp := v.do(q).(*kmsg.DeleteTopicsResponse)
	want := kmsg.NewDeleteTopicsResponseTopic()
	want.Topic = &v.name
	if v.version >= 6 {
		want.TopicID = topic.ID()
	}
	same(v, "topics", resp.Topics, []kmsg.DeleteTopicsResponseTopic{want})
	if _, err := v.rig.broker.Topic("", v.name); broker.KindOf(err) != broker.NotFound {
		v.Fatalf("got %v, want the topic to be gone", err)
	}
}

func visitDeleteRecords(v *visit) {
	topic := v.rig.topic(v.name, 1)
	v.rig.write(topic, 0, "a", "b", "c")
	q := kmsg.NewPtrDeleteRecordsRequest()
	in := kmsg.NewDeleteRecordsRequestTopic()
	in.Topic = v.name
	in.Partitions = append(in.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Offset: 2})
	q.Topics = append(q.Topics, in)
	resp := v.do(q).(*kmsg.DeleteRecordsResponse)
	same(v, "topics", resp.Topics, []kmsg.DeleteRecordsResponseTopic{{
		Topic:      v.name,
		Partitions: []kmsg.DeleteRecordsResponseTopicPartition{{LowWatermark: 2}},
	}})
	if start, _ := topic.Partition(0).Bounds(); start != 2 {
		v.Fatalf("got start %d, want 2", start)
	}
}

func visitInitProducerID(v *visit) {
	resp := v.do(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse)
	same(v, "error", resp.ErrorCode, errNone)
	again := v.do(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse)
	if resp.ProducerID < 0 || again.ProducerID == resp.ProducerID || resp.ProducerEpoch != 0 {
		v.Fatalf("got %+v and %+v, want two ids with epoch 0", resp, again)
	}
}

func visitOffsetForLeaderEpoch(v *visit) {
	topic := v.rig.topic(v.name, 1)
	v.rig.write(topic, 0, "a", "b")
	q := kmsg.NewPtrOffsetForLeaderEpochRequest()
	in := kmsg.NewOffsetForLeaderEpochRequestTopic()
	in.Topic = v.name
	in.Partitions = append(in.Partitions, kmsg.NewOffsetForLeaderEpochRequestTopicPartition())
	q.Topics = append(q.Topics, in)
	resp := v.do(q).(*kmsg.OffsetForLeaderEpochResponse)
	same(v, "partition", resp.Topics[0].Partitions[0],
		kmsg.OffsetForLeaderEpochResponseTopicPartition{LeaderEpoch: 0, EndOffset: 2})
}

func visitDescribeConfigs(v *visit) {
	v.rig.topic(v.name, 1, func(c *broker.TopicConfig) { c.RetentionTime = time.Minute })
	q := kmsg.NewPtrDescribeConfigsRequest()
	in := kmsg.NewDescribeConfigsRequestResource()
	in.ResourceType, in.ResourceName = kmsg.ConfigResourceTypeTopic, v.name
	in.ConfigNames = []string{"retention.ms"}
	q.Resources = append(q.Resources, in)
	q.IncludeSynonyms, q.IncludeDocumentation = true, true
	resp := v.do(q).(*kmsg.DescribeConfigsResponse)
	want := kmsg.NewDescribeConfigsResponseResourceConfig()
	want.Name, want.Value, want.ReadOnly = "retention.ms", ptr("60000"), true
	want.Source = kmsg.ConfigSourceDynamicTopicConfig
	want.ConfigSynonyms = []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{
		{Name: "retention.ms", Value: ptr("60000"), Source: kmsg.ConfigSourceDynamicTopicConfig},
		{Name: "log.retention.ms", Value: ptr("604800000"), Source: kmsg.ConfigSourceDefaultConfig},
	}
	if v.version >= 3 {
		want.ConfigType = kmsg.ConfigTypeLong
		want.Documentation = ptr(topicSettingNamed("retention.ms").doc)
	}
	same(v, "configs", resp.Resources[0].Configs,
		[]kmsg.DescribeConfigsResponseResourceConfig{want})
}

func visitCreatePartitions(v *visit) {
	topic := v.rig.topic(v.name, 1)
	q := kmsg.NewPtrCreatePartitionsRequest()
	in := kmsg.NewCreatePartitionsRequestTopic()
	in.Topic, in.Count = v.name, 4
	q.Topics = append(q.Topics, in)
	resp := v.do(q).(*kmsg.CreatePartitionsResponse)
	same(v, "topics", resp.Topics, []kmsg.CreatePartitionsResponseTopic{{Topic: v.name}})
	same(v, "partitions", topic.Partitions(), 4)
}

func visitDescribeCluster(v *visit) {
	q := kmsg.NewPtrDescribeClusterRequest()
	q.IncludeClusterAuthorizedOperations = true
	resp := v.do(q).(*kmsg.DescribeClusterResponse)
	host, port := hostPort(v, v.client)
	want := kmsg.NewDescribeClusterResponse()
	want.Version = v.version
	want.ClusterID, want.ControllerID = encodeID(v.rig.broker.ID()), 1
	want.ClusterAuthorizedOperations = clusterOperations
	want.Brokers = append(want.Brokers, kmsg.DescribeClusterResponseBroker{
		NodeID: 1, Host: host, Port: port,
	})
	same(v, "response", *resp, want)
}
