package kafka

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ServedRequest is one kind of request that this face speaks.
type ServedRequest struct {
	Key  int16
	Name string
	// Min and Max are the versions that ApiVersions advertises.
	Min, Max int16
	// From is the first version that is really served. Below it a request is answered with
	// UNSUPPORTED_VERSION. It differs from Min for Produce alone (KAFKA-18659).
	From int16
}

// Served returns every request that this face speaks, by key. It is the source of the
// ApiVersions response, of docs/wire/kafka.md and of the tests.
func Served() []ServedRequest {
	served := make([]ServedRequest, len(table))
	for i := range table {
		served[i] = table[i].ServedRequest
	}
	return served
}

// The keys that code outside the table needs.
const (
	keyProduce     int16 = 0
	keyAPIVersions int16 = 18
)

// entry is a row of the served table. A request is decoded whole and served, or streamed: then
// its handler takes it from the connection as it arrives.
type entry struct {
	ServedRequest
	shape  *shape
	serve  func(c *conn, r *request, body kmsg.Request) reply
	stream func(c *conn, r *request) reply
}

// lookup returns the entry of a key, nil if there is none.
func lookup(key int16) *entry {
	i, ok := slices.BinarySearchFunc(table, key, func(e *entry, key int16) int {
		return int(e.Key) - int(key)
	})
	if !ok {
		return nil
	}
	return table[i]
}

// row makes an entry whose handler wants the decoded request type of its key.
func row[P kmsg.Request](
	key int16, versions [2]int16, s *shape, handler func(*conn, *request, P) reply,
) *entry {
	return &entry{
		ServedRequest: ServedRequest{
			Key: key, Name: strings.Replace(kmsg.NameForKey(key), "ID", "Id", 1),
			Min: versions[0], From: versions[0], Max: versions[1],
		},
		shape: s,
		serve: func(c *conn, r *request, body kmsg.Request) reply {
			return handler(c, r, body.(P))
		},
	}
}

// streamed makes an entry whose handler reads the request itself.
func streamed(
	key int16, versions [2]int16, s *shape, handler func(*conn, *request) reply,
) *entry {
	e := row[kmsg.Request](key, versions, s, nil)
	e.serve, e.stream = nil, handler
	return e
}

// servedFrom limits what is served to versions from v on; the lower ones stay advertised.
func (e *entry) servedFrom(v int16) *entry {
	e.From = v
	return e
}

// span is the range of versions of a row.
func span(low, high int16) [2]int16 { return [2]int16{low, high} }

// table is the served table, by key. The upper versions are those of Apache Kafka 4.2; the
// lower ones are what current clients still send, which is Kafka's own lower end (KIP-896),
// and version 0 of ListOffsets.
//
// It is filled in init because the handlers, through ApiVersions, refer back to it.
var table []*entry

func init() {
	table = []*entry{
		streamed(0, span(0, 13), shapeProduce, (*conn).produce).servedFrom(3),
		row(1, span(4, 18), shapeFetch, (*conn).fetch),
		row(2, span(0, 11), shapeListOffsets, (*conn).listOffsets),
		row(3, span(0, 13), shapeMetadata, (*conn).metadata),
		row(8, span(2, 10), shapeOffsetCommit, (*conn).offsetCommit),
		row(9, span(1, 10), shapeOffsetFetch, (*conn).offsetFetch),
		row(10, span(0, 6), shapeFindCoordinator, (*conn).findCoordinator),
		row(11, span(0, 9), shapeJoinGroup, (*conn).joinGroup),
		row(12, span(0, 4), shapeHeartbeat, (*conn).heartbeat),
		row(13, span(0, 5), shapeLeaveGroup, (*conn).leaveGroup),
		row(14, span(0, 5), shapeSyncGroup, (*conn).syncGroup),
		row(15, span(0, 6), shapeDescribeGroups, (*conn).describeGroups),
		row(16, span(0, 5), shapeListGroups, (*conn).listGroups),
		row(18, span(0, 4), shapeAPIVersions, (*conn).apiVersions),
		row(19, span(2, 7), shapeCreateTopics, (*conn).createTopics),
		row(20, span(1, 6), shapeDeleteTopics, (*conn).deleteTopics),
		row(21, span(0, 2), shapeDeleteRecords, (*conn).deleteRecords),
		row(22, span(0, 5), shapeInitProducerID, (*conn).initProducerID),
		row(23, span(2, 4), shapeOffsetForLeaderEpoch, (*conn).offsetForLeaderEpoch),
		row(32, span(1, 4), shapeDescribeConfigs, (*conn).describeConfigs),
		row(37, span(0, 3), shapeCreatePartitions, (*conn).createPartitions),
		row(42, span(0, 2), shapeDeleteGroups, (*conn).deleteGroups),
		row(47, span(0, 0), shapeOffsetDelete, (*conn).offsetDelete),
		row(60, span(0, 2), shapeDescribeCluster, (*conn).describeCluster),
	}
}

// The shapes of the requests; the text is explained at shape.
var (
	shapeProduce = mustShape(9, `transaction:str?@3+ acks:i16 timeout:i32
		topics:[ name:str@0-12 id:uuid@13+ partitions:[ index:i32 records:bytes? ] ]`)
	shapeFetch = mustShape(12, `replica:i32@0-14 wait:i32 min:i32 max:i32@3+ isolation:i8@4+
		session:i32@7+ epoch:i32@7+
		topics:[ name:str@0-12 id:uuid@13+ partitions:[
			index:i32 leader:i32@9+ offset:i64 last:i32@12+ start:i64@5+ max:i32
			#0:uuid #1:i64 ] ]
		forgotten:[ name:str@7-12 id:uuid@13+ partitions:[ i32 ] ]@7+ rack:str@11+
		#0:str? #1:{ id:i32 epoch:i64 }`)
	shapeListOffsets = mustShape(6, `replica:i32 isolation:i8@2+
		topics:[ name:str partitions:[
			index:i32 leader:i32@4+ time:i64 most:i32@0 ] ] timeout:i32@10+`)
	shapeMetadata = mustShape(9, `topics:[ id:uuid@10+ name:str?10 ]?1
		create:bool@4+ cluster:bool@8-10 operations:bool@8+`)
	shapeOffsetCommit = mustShape(8, `group:str generation:i32@1+ member:str@1+ instance:str?@7+
		retention:i64@2-4 topics:[ name:str@0-9 id:uuid@10+ partitions:[
			index:i32 offset:i64 time:i64@1 leader:i32@6+ metadata:str? ] ]`)
	shapeOffsetFetch = mustShape(6, `group:str@0-7
		topics:[ name:str partitions:[ i32 ] ]?2@0-7
		groups:[ group:str member:str?@9+ epoch:i32@9+
			topics:[ name:str@8-9 id:uuid@10+ partitions:[ i32 ] ]? ]@8+ stable:bool@7+`)
	shapeFindCoordinator = mustShape(3, `key:str@0-3 type:i8@1+ keys:[ str ]@4+`)
	shapeJoinGroup       = mustShape(6, `group:str session:i32 rebalance:i32@1+ member:str
		instance:str?@5+ type:str protocols:[ name:str metadata:bytes ] reason:str?@8+`)
	shapeHeartbeat  = mustShape(4, `group:str generation:i32 member:str instance:str?@3+`)
	shapeLeaveGroup = mustShape(4, `group:str member:str@0-2
		members:[ member:str instance:str? reason:str?@5+ ]@3+`)
	shapeSyncGroup = mustShape(4, `group:str generation:i32 member:str instance:str?@3+
		type:str?@5+ protocol:str?@5+ assignments:[ member:str assignment:bytes ]`)
	shapeDescribeGroups = mustShape(5, `groups:[ str ] operations:bool@3+`)
	shapeListGroups     = mustShape(3, `states:[ str ]@4+ types:[ str ]@5+`)
	shapeAPIVersions    = mustShape(3, `software:str@3+ version:str@3+`)
	shapeCreateTopics   = mustShape(5, `topics:[ name:str partitions:i32 replication:i16
		assignments:[ index:i32 nodes:[ i32 ] ] configs:[ name:str value:str? ] ]
		timeout:i32 dry:bool@1+`)
	shapeDeleteTopics = mustShape(4, `names:[ str ]@0-5 topics:[ name:str? id:uuid ]@6+
		timeout:i32`)
	shapeDeleteRecords = mustShape(2, `topics:[ name:str partitions:[ index:i32 offset:i64 ] ]
		timeout:i32`)
	shapeInitProducerID = mustShape(2, `transaction:str? timeout:i32 id:i64@3+ epoch:i16@3+`)
	// The codec writes no replica below version 3.
	shapeOffsetForLeaderEpoch = mustShape(4, `replica:i32@3+ topics:[ name:str partitions:[
		index:i32 leader:i32@2+ epoch:i32 ] ]`)
	shapeDescribeConfigs = mustShape(4, `resources:[ type:i8 name:str names:[ str ]? ]
		synonyms:bool@1+ docs:bool@3+`)
	shapeCreatePartitions = mustShape(2, `topics:[ name:str count:i32
		assignments:[ nodes:[ i32 ] ]? ] timeout:i32 dry:bool`)
	shapeDeleteGroups = mustShape(2, `groups:[ str ]`)
	shapeOffsetDelete = mustShape(never, `group:str topics:[ name:str
		partitions:[ index:i32 ] ]`)
	shapeDescribeCluster = mustShape(0, `operations:bool endpoint:i8@1+ fenced:bool@2+`)
)
