package console

import "time"

// Queues is the answer of GET /api/v1/queues, by name.
type Queues struct {
	Queues []Queue `json:"queues"`
}

// Queue is one row of a list of queues.
type Queue struct {
	Name          string `json:"name"`
	ID            string `json:"id"`
	Durable       bool   `json:"durable"` // it is there after a restart
	AutoDelete    bool   `json:"autoDelete"`
	Exclusive     bool   `json:"exclusive"` // one connection has it for itself
	Ready         int64  `json:"ready"`     // records that wait
	Leased        int64  `json:"leased"`    // delivered, and not settled
	Delayed       int64  `json:"delayed"`   // published, and not ready yet
	Subscriptions int    `json:"subscriptions"`
	Bytes         int64  `json:"bytes"` // of its logs
}

// QueueDetail is the answer of GET /api/v1/queues/{queue}.
type QueueDetail struct {
	Queue
	OldestSeconds float64        `json:"oldestSeconds"` // age of the first that waits; 0: none, -1: not known
	Args          map[string]any `json:"args"`          // as they were given
	Settings      QueueSettings  `json:"settings"`      // what they and its policies mean
	Policies      []string       `json:"policies"`      // that apply, those of operators last
	Counts        QueueCounts    `json:"counts"`
	Bindings      []Binding      `json:"bindings"` // that lead to it
}

// QueueSettings is what a queue does. What is not there does not bound it.
type QueueSettings struct {
	TTLSeconds     *float64 `json:"ttlSeconds,omitempty"`
	ExpiresSeconds *float64 `json:"expiresSeconds,omitempty"` // of the queue, while nobody uses it
	MaxLength      *int64   `json:"maxLength,omitempty"`
	MaxBytes       *int64   `json:"maxLengthBytes,omitempty"` // of bodies
	Overflow       string   `json:"overflow"`                 // drop-head, reject-publish, reject-publish-dlx
	DeadLetterTo   *string  `json:"deadLetterExchange,omitempty"`
	DeadLetterKey  *string  `json:"deadLetterKey,omitempty"`
	MaxPriority    int      `json:"maxPriority"`
	SingleActive   bool     `json:"singleActive"`
	DeliveryLimit  *int64   `json:"deliveryLimit,omitempty"`
	MaxReceives    *int64   `json:"maxReceives,omitempty"` // before a record is dead-lettered
	DelaySeconds   *float64 `json:"delaySeconds,omitempty"`
	// RetentionSeconds is a time to live without dead letters.
	RetentionSeconds *float64 `json:"retentionSeconds,omitempty"`
}

// QueueCounts counts records since the queue was declared or the server started.
type QueueCounts struct {
	Published   uint64 `json:"published"`
	Delivered   uint64 `json:"delivered"`
	Redelivered uint64 `json:"redelivered"`
	Accepted    uint64 `json:"accepted"`
	Rejected    uint64 `json:"rejected"`
	Expired     uint64 `json:"expired"`
	Dropped     uint64 `json:"dropped"`
	Lost        uint64 `json:"lost"`
}

// NewQueue is the body of POST /api/v1/queues. Args are those of an AMQP client:
// {"x-message-ttl": 60000}.
type NewQueue struct {
	Name       string         `json:"name"`
	Durable    *bool          `json:"durable,omitempty"` // default true
	AutoDelete bool           `json:"autoDelete,omitempty"`
	Args       map[string]any `json:"args,omitempty"`
}

// QueuePurged is the answer of POST /api/v1/queues/{queue}/purge.
type QueuePurged struct {
	Queue  string `json:"queue"`
	Purged int64  `json:"purged"` // records
}

// Exchanges is the answer of GET /api/v1/exchanges, by name.
type Exchanges struct {
	Exchanges []Exchange `json:"exchanges"`
}

// Exchange is one row of a list of exchanges. The default exchange is named
// amq.default here.
type Exchange struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Durable    bool   `json:"durable"`
	AutoDelete bool   `json:"autoDelete"`
	Internal   bool   `json:"internal"`
	BuiltIn    bool   `json:"builtIn"` // always there
	Alternate  string `json:"alternate,omitempty"`
	BoundTo    int    `json:"boundTo"` // bindings that lead from it
}

// ExchangeDetail is the answer of GET /api/v1/exchanges/{exchange}.
type ExchangeDetail struct {
	Exchange
	Args     map[string]any `json:"args"`
	Bindings []Binding      `json:"bindings"` // that lead from it
}

// NewExchange is the body of POST /api/v1/exchanges.
type NewExchange struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`              // direct, fanout, topic, headers, ...
	Durable    *bool          `json:"durable,omitempty"` // default true
	AutoDelete bool           `json:"autoDelete,omitempty"`
	Internal   bool           `json:"internal,omitempty"`
	Args       map[string]any `json:"args,omitempty"`
}

// Binding leads from an exchange to a queue, a topic or another exchange: one of them
// is named.
type Binding struct {
	Source     string         `json:"source,omitempty"` // in requests that of the path
	Queue      string         `json:"queue,omitempty"`
	Topic      string         `json:"topic,omitempty"`
	ToExchange string         `json:"toExchange,omitempty"`
	Key        string         `json:"key"`
	Args       map[string]any `json:"args,omitempty"`
}

// Links is the answer of GET /api/v1/links.
type Links struct {
	Links []Link `json:"links"`
}

// Link leads records of a topic to a queue or an exchange: one of them is named.
type Link struct {
	Topic      string  `json:"topic"`
	Queue      string  `json:"queue,omitempty"`
	ToExchange string  `json:"toExchange,omitempty"`
	Key        *string `json:"key,omitempty"`   // routing key; default the record's
	From       string  `json:"from,omitempty"`  // in requests: start, or end, the default
	Group      string  `json:"group,omitempty"` // in answers: whose cursors are the link's
}

// QueueRecord is one record of a queue: waiting, or delivered by a consumption.
type QueueRecord struct {
	Queue       string         `json:"queue"`
	Offset      int64          `json:"offset"`
	Time        time.Time      `json:"time"` // of the publish
	Expires     time.Time      `json:"expires,omitzero"`
	Exchange    string         `json:"exchange"`
	Key         string         `json:"key"` // routing key
	CC          []string       `json:"cc,omitempty"`
	Deliveries  int            `json:"deliveries"` // before this one
	Priority    int            `json:"priority,omitempty"`
	Transient   bool           `json:"transient,omitempty"` // gone after a restart
	Properties  map[string]any `json:"properties,omitempty"`
	Value       *string        `json:"value"`
	ValueBase64 []byte         `json:"valueBase64,omitempty"`
	Deaths      []Death        `json:"deaths,omitempty"`   // newest first
	Delivery    int64          `json:"delivery,omitempty"` // its number, for settling
}

// Death is why and how often a record left a queue without being accepted. One that failed was put
// aside by a service of the library: Queue is its group, Count the attempts, and Exchange the topic
// of the event, if it had one.
type Death struct {
	Reason   string    `json:"reason"`          // rejected, expired, maxlen, delivery_limit, failed
	Error    string    `json:"error,omitempty"` // of one that failed
	Queue    string    `json:"queue"`
	Count    int64     `json:"count"`
	Time     time.Time `json:"time"`     // of the first, or when it was put aside
	Exchange string    `json:"exchange"` // that it had been published to
	Keys     []string  `json:"keys"`     // with these
}

// NewQueueRecord is a record to publish. Key is the routing key; queues take none.
type NewQueueRecord struct {
	Key         string         `json:"key,omitempty"`
	Value       *string        `json:"value,omitempty"`
	ValueBase64 []byte         `json:"valueBase64,omitempty"`
	Properties  map[string]any `json:"properties,omitempty"`
}

// QueuePublish is the body of a publish to an exchange or queue.
type QueuePublish struct {
	Records []NewQueueRecord `json:"records"`
}

// QueuePublished is the answer: where each record went, in the order of the request.
type QueuePublished struct {
	Records []RoutedRecord `json:"records"`
}

// RoutedRecord says how many queues took a record, and whether one was full.
type RoutedRecord struct {
	Queues  int  `json:"queues"`
	Refused bool `json:"refused"`
}

// Consume is the body of POST /api/v1/queues/{queue}/consume.
type Consume struct {
	Prefetch int   `json:"prefetch,omitempty"` // not settled at once: 1 to 5,000; default 100
	Limit    int64 `json:"limit,omitempty"`    // end after so many; 0: none
	Follow   bool  `json:"follow,omitempty"`   // wait for more, else end where nothing is ready
}

// ConsumeLine is one line of the answer: the first names the consumer, the others
// are deliveries. A line with Error is the last.
type ConsumeLine struct {
	QueueRecord
	Consumer string   `json:"consumer,omitempty"`
	Error    *Problem `json:"error,omitempty"`
}

// Settle is the body of POST /api/v1/consumers/{consumer}/settle.
type Settle struct {
	UpTo    int64  `json:"upTo"`    // all deliveries up to this number
	Outcome string `json:"outcome"` // accept, requeue, reject
}

// Settled is the answer: how many deliveries that were.
type Settled struct {
	Settled int `json:"settled"`
}

// DeadLetters is the answer of GET /api/v1/deadletters, by name.
type DeadLetters struct {
	DeadLetters []DeadLetterQueue `json:"deadLetters"`
}

// DeadLetterQueue is a queue that dead letters of others can reach.
type DeadLetterQueue struct {
	Queue         string       `json:"queue"`
	Ready         int64        `json:"ready"`
	OldestSeconds float64      `json:"oldestSeconds"`
	From          []string     `json:"from"`     // the queues
	Examined      int64        `json:"examined"` // records, from the first on: at most 1,000
	Reasons       []DeathCount `json:"reasons"`  // of those, the last death of each
}

// DeathCount is how many records died for a reason.
type DeathCount struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// Redrive is the body of POST /api/v1/queues/{queue}/redrive.
type Redrive struct {
	To  string `json:"to,omitempty"`  // a queue; "": for each record the one in which it died first
	Max int64  `json:"max,omitempty"` // records; 0: all that wait now
}

// Redriven is one line of the answer: what was done so far. The last has Done or Error.
type Redriven struct {
	Moved   int64    `json:"moved"`
	Skipped int64    `json:"skipped"`       // that stay: see Why
	Why     []string `json:"why,omitempty"` // the first few reasons
	Total   int64    `json:"total"`         // that will be looked at
	Done    bool     `json:"done,omitempty"`
	Error   *Problem `json:"error,omitempty"`
}

// QueueLag is how much waits in one queue.
type QueueLag struct {
	Queue         string  `json:"queue"`
	Ready         int64   `json:"ready"`
	Leased        int64   `json:"leased"`
	Subscriptions int     `json:"subscriptions"`
	OldestSeconds float64 `json:"oldestSeconds"`
}
