package console

import "time"

// APIVersion names the set of documents in this file. Within a version fields
// are added, never renamed or removed.
const APIVersion = "v1"

// Info says which server this is: GET /api/v1.
type Info struct {
	Name       string     `json:"name"` // "tidings"
	Version    string     `json:"version"`
	API        string     `json:"api"` // APIVersion
	ID         string     `json:"id"`  // of the data directory; Kafka's cluster id
	PID        int        `json:"pid"`
	Started    time.Time  `json:"started"`
	Data       string     `json:"data"` // absolute path of the data directory
	Sync       string     `json:"sync"` // always, interval or never
	AutoCreate bool       `json:"autoCreate"`
	Listeners  []Listener `json:"listeners"`
	Topics     int        `json:"topics"`
	Groups     int        `json:"groups"`
}

// Listener is one address the server answers on.
type Listener struct {
	Name        string `json:"name"` // kafka, admin
	Addr        string `json:"addr"` // host:port
	Connections int    `json:"connections"`
	Channels    int    `json:"channels,omitempty"` // open on them: AMQP
}

// Topics is the answer of GET /api/v1/topics, by name.
type Topics struct {
	Topics []Topic `json:"topics"`
}

// Topic is one row of a list of topics.
type Topic struct {
	Name       string    `json:"name"`
	ID         string    `json:"id"`
	Partitions int       `json:"partitions"`
	Records    int64     `json:"records"` // between start and end, all partitions
	Bytes      int64     `json:"bytes"`   // -1 where the server does not say
	Created    time.Time `json:"created,omitzero"`
	Groups     int       `json:"groups"` // groups with a cursor in it
	Lag        int64     `json:"lag"`    // records, of the group furthest behind
}

// TopicDetail is the answer of GET /api/v1/topics/{topic}.
type TopicDetail struct {
	Topic
	Config        TopicConfig `json:"config"`
	PartitionList []Partition `json:"partitionList"`
	GroupList     []Lag       `json:"groupList"`
}

// Partition is one log of a topic: offsets from start up to, not including, end.
type Partition struct {
	Partition int   `json:"partition"`
	Start     int64 `json:"start"`
	End       int64 `json:"end"`
	Bytes     int64 `json:"bytes"` // -1 where the server does not say
}

// TopicConfig holds a topic's settings. In a request zero means the default.
type TopicConfig struct {
	RetentionSeconds int64             `json:"retentionSeconds"` // -1: for ever
	RetentionBytes   int64             `json:"retentionBytes"`   // per partition; -1: no limit
	SegmentBytes     int64             `json:"segmentBytes"`
	BatchBytes       int               `json:"batchBytes"` // largest batch accepted
	AppendTime       bool              `json:"appendTime"` // records get the broker's time
	Extra            map[string]string `json:"extra,omitempty"`
}

// NewTopic is the body of POST /api/v1/topics.
type NewTopic struct {
	Name       string      `json:"name"`
	Partitions int         `json:"partitions"` // 0: the server's default
	Config     TopicConfig `json:"config"`
}

// Grow is the body of POST /api/v1/topics/{topic}/partitions.
type Grow struct {
	Partitions int `json:"partitions"` // the new total
}

// Record is one record at rest, as read and as streamed. A key or value that is
// valid UTF-8 stands in Key or Value; any other bytes stand, in base64, in
// KeyBase64 or ValueBase64. Null keys and values have neither.
type Record struct {
	Topic       string    `json:"topic"`
	Partition   int       `json:"partition"`
	Offset      int64     `json:"offset"`
	Time        time.Time `json:"time"`
	Key         *string   `json:"key"`
	KeyBase64   []byte    `json:"keyBase64,omitempty"`
	Value       *string   `json:"value"`
	ValueBase64 []byte    `json:"valueBase64,omitempty"`
	Headers     []Header  `json:"headers,omitempty"`
}

// Header is one header of a record; keys may repeat.
type Header struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"valueBase64,omitempty"`
}

// NewRecord is a record to publish. Without Partition the key decides (murmur2,
// as Kafka clients do); without key the records of one request share a partition.
type NewRecord struct {
	Partition   *int      `json:"partition,omitempty"`
	Time        time.Time `json:"time,omitzero"` // default: now
	Key         *string   `json:"key,omitempty"`
	KeyBase64   []byte    `json:"keyBase64,omitempty"`
	Value       *string   `json:"value,omitempty"`
	ValueBase64 []byte    `json:"valueBase64,omitempty"`
	Headers     []Header  `json:"headers,omitempty"`
}

// Publish is the body of POST /api/v1/topics/{topic}/records. All records are
// stored, or none; the answer comes when they are on disk.
type Publish struct {
	Records []NewRecord `json:"records"`
}

// Published is the answer: one place per record, in the order of the request.
type Published struct {
	Records []Place `json:"records"`
}

// Place is where a record is stored.
type Place struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
}

// StreamLine is one line of GET /api/v1/topics/{topic}/records: a record, or
// one of the two notes. A line with Error is the last.
type StreamLine struct {
	Record
	Skipped *Skipped `json:"skipped,omitempty"`
	Error   *Problem `json:"error,omitempty"`
}

// Skipped says that records are not there: deleted (retention, DeleteRecords)
// before the stream came to them, or given up by a repair.
type Skipped struct {
	Partition int   `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"` // the next record comes from here
}

// Groups is the answer of GET /api/v1/groups, by name.
type Groups struct {
	Groups []Group `json:"groups"`
}

// Group is one row of a list of groups.
type Group struct {
	Name       string  `json:"name"`
	State      string  `json:"state"`    // the face's word: Empty, Stable, PreparingRebalance, ...
	Protocol   string  `json:"protocol"` // consumer, or the face's word
	Members    int     `json:"members"`
	Topics     int     `json:"topics"`
	Lag        int64   `json:"lag"`        // records, all partitions
	LagSeconds float64 `json:"lagSeconds"` // of the partition furthest behind
}

// GroupDetail is the answer of GET /api/v1/groups/{group}.
type GroupDetail struct {
	Group
	MemberList []Member `json:"memberList"`
	Cursors    []Cursor `json:"cursors"`
}

// Member is one consumer in a group, as its face reports it.
type Member struct {
	ID       string     `json:"id"`
	Client   string     `json:"client"`
	Host     string     `json:"host"`
	Assigned []Assigned `json:"assigned"`
}

// Assigned is what a member reads of one topic.
type Assigned struct {
	Topic      string `json:"topic"`
	Partitions []int  `json:"partitions"`
}

// Cursor is a group's place in one partition of a topic that it reads. LagSeconds is the age of the
// record at the cursor: 0 when nothing waits there, -1 where it is not known.
type Cursor struct {
	Topic      string    `json:"topic"`
	Partition  int       `json:"partition"`
	Offset     int64     `json:"offset"` // -1: no cursor yet, counted from the start
	Start      int64     `json:"start"`
	End        int64     `json:"end"`
	Lag        int64     `json:"lag"`
	LagSeconds float64   `json:"lagSeconds"`
	Committed  time.Time `json:"committed,omitzero"`
	Metadata   string    `json:"metadata,omitempty"`
	Member     string    `json:"member,omitempty"`
}

// Lags is the answer of GET /api/v1/lag.
type Lags struct {
	Lag    []Lag      `json:"lag"`
	Queues []QueueLag `json:"queues"`
}

// Lag is how far one group is behind in one topic.
type Lag struct {
	Group      string  `json:"group"`
	Topic      string  `json:"topic"`
	Partitions int     `json:"partitions"` // with a cursor
	Members    int     `json:"members"`
	Lag        int64   `json:"lag"`        // records, all partitions
	LagSeconds float64 `json:"lagSeconds"` // of the partition furthest behind; -1: not known
}

// Reset is the body of POST /api/v1/groups/{group}/reset.
type Reset struct {
	Topic      string `json:"topic"`                // "": all topics the group has cursors in
	Partitions []int  `json:"partitions,omitempty"` // none: all
	To         string `json:"to"`                   // start, end, an offset, -5m, -10, a time
	Apply      bool   `json:"apply"`                // false: only say what would change
}

// ResetPlan is the answer: what changes, and whether it was done.
type ResetPlan struct {
	Group   string   `json:"group"`
	Applied bool     `json:"applied"`
	Changes []Change `json:"changes"`
}

// Change moves one cursor. From is -1 where there was none.
type Change struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Lag       int64  `json:"lag"` // after the change
}

// Storage is the answer of GET /api/v1/storage. Counters start with the process.
type Storage struct {
	Frames       uint64 `json:"frames"`
	Syncs        uint64 `json:"syncs"`
	Checkpoints  uint64 `json:"checkpoints"`
	JournalBytes uint64 `json:"journalBytes"`
	ExtentBytes  uint64 `json:"extentBytes"`
	PendingBytes int64  `json:"pendingBytes"`
	Logs         int    `json:"logs"`
	Segments     int    `json:"segments"`
	OpenFiles    int    `json:"openFiles"`
	Keys         int    `json:"keys"`
	DiskFree     int64  `json:"diskFree"`
	DiskTotal    int64  `json:"diskTotal"`
	Full         bool   `json:"full"`     // producers are pushed back until there is room
	DirectIO     bool   `json:"directIO"` // the journal bypasses the page cache
	Failed       string `json:"failed"`   // why nothing more is accepted; "" while all is well
}

// BackupTo is the body of POST /api/v1/backup: an absolute path on the server's
// machine that does not exist yet, or an empty directory.
type BackupTo struct {
	Dir string `json:"dir"`
}

// BackedUp is the answer of a finished backup.
type BackedUp struct {
	Dir     string  `json:"dir"`
	Seconds float64 `json:"seconds"`
}

// Health is the answer of GET /healthz: status 200 and "ok", or 503 and why.
type Health struct {
	Status string `json:"status"` // ok, failed
	Reason string `json:"reason,omitempty"`
}

// ErrorDocument is the body of every answer that is not 2xx.
type ErrorDocument struct {
	Error Problem `json:"error"`
}

// Problem says what went wrong, by a code to test for, a sentence, and where
// one is known what to do now.
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}
