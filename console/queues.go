package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// QueueFace is the face in whose words queues and exchanges are declared and records
// described, so that its clients can declare the same again. Kinds: Invalid,
// Unsupported.
type QueueFace interface {
	// Queue sets what the arguments of a queue mean: its type and settings.
	Queue(spec *broker.QueueSpec) error
	// Alternate returns the exchange that the arguments of an exchange name for what
	// it leads nowhere; "": none.
	Alternate(args broker.Args) (string, error)
	// Describe gives a record properties by their names, and what follows from them.
	Describe(rec *broker.QueueRecord, properties broker.Args) error
}

// plainFace stands where no face was given: nothing has arguments or properties.
type plainFace struct{}

func (plainFace) Queue(spec *broker.QueueSpec) error { return plainOnly("declare queue", spec.Args) }

func (plainFace) Alternate(args broker.Args) (string, error) {
	return "", plainOnly("declare exchange", args)
}

func (plainFace) Describe(_ *broker.QueueRecord, properties broker.Args) error {
	return plainOnly("publish", properties[:max(len(properties)-1, 0)]) // but for how durable it is
}

func plainOnly(op string, args broker.Args) error {
	if len(args) == 0 {
		return nil
	}
	return &broker.Error{Kind: broker.Unsupported, Op: op, Name: args[0].Name}
}

var errExclusive = errors.New("the queue belongs to another connection")

// reservedPrefix begins the names that only a broker gives.
const reservedPrefix = "amq."

func (s *Server) listQueues(*http.Request) (any, error) {
	doc := Queues{Queues: []Queue{}}
	for _, q := range s.b.Queues("") {
		doc.Queues = append(doc.Queues, queueRow(q, q.Stats()))
	}
	return doc, nil
}

func queueRow(q *broker.Queue, st broker.QueueStats) Queue {
	spec := q.Spec()
	return Queue{
		Name: q.Name().Name, ID: q.ID().String(), Durable: spec.Durable, AutoDelete: spec.AutoDelete,
		Exclusive: spec.Owner != nil, Ready: st.Ready, Leased: st.Leased, Delayed: st.Delayed,
		Subscriptions: st.Subscriptions, Bytes: st.Bytes,
	}
}

func (s *Server) showQueue(r *http.Request) (any, error) {
	q, err := s.queue(r.PathValue("queue"))
	if err != nil {
		return nil, err
	}
	return s.queueDetail(q), nil
}

func (s *Server) queueDetail(q *broker.Queue) QueueDetail {
	st := q.Stats()
	return QueueDetail{
		Queue: queueRow(q, st), OldestSeconds: s.oldest(q, st.Ready), Args: argsDocument(q.Spec().Args),
		Settings: settingsDocument(q.Settings()), Counts: QueueCounts(st.Counts),
		Policies: policyNames(q.Policies()), Bindings: bindingRows(q.Bindings()),
	}
}

func policyNames(a broker.AppliedPolicies) []string {
	names := []string{}
	for _, p := range []*broker.Policy{a.User, a.Operator} {
		if p != nil {
			names = append(names, p.Name)
		}
	}
	return names
}

// oldest is the age of the first record that waits: 0 where none does, -1 where it
// cannot be told.
func (s *Server) oldest(q *broker.Queue, ready int64) float64 {
	if ready == 0 {
		return 0
	}
	age := -1.0
	err := q.Look(1, func(d *broker.Delivery) bool {
		age = max(0, s.c.Now().Sub(d.Record.Time).Seconds())
		return true
	})
	if err != nil {
		return -1
	}
	return age
}

var overflows = map[broker.Overflow]string{
	broker.DropHead: "drop-head", broker.RejectPublish: "reject-publish",
	broker.RejectDeadLetter: "reject-publish-dlx",
}

func settingsDocument(q broker.QueueSettings) QueueSettings {
	doc := QueueSettings{
		MaxLength: q.MaxLength, MaxBytes: q.MaxLengthBytes, Overflow: overflows[q.Overflow], DeadLetterKey: q.DeadLetterKey,
		MaxPriority: int(q.MaxPriority), SingleActive: q.SingleActive, DeliveryLimit: q.DeliveryLimit, MaxReceives: q.MaxReceives,
	}
	if q.TTL != nil {
		doc.TTLSeconds = secondsOf(*q.TTL)
	}
	for _, d := range []struct {
		to   **float64
		time time.Duration
	}{{&doc.ExpiresSeconds, q.Expires}, {&doc.DelaySeconds, q.Delay}, {&doc.RetentionSeconds, q.Retention}} {
		if d.time > 0 {
			*d.to = secondsOf(d.time)
		}
	}
	if q.DeadLetters {
		to := shownExchange(q.DeadLetterTo)
		doc.DeadLetterTo = &to
	}
	return doc
}

func secondsOf(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// queue finds a queue or says which name comes close.
func (s *Server) queue(name string) (*broker.Queue, error) {
	q, err := s.b.Queue("", name)
	if broker.KindOf(err) == broker.NotFound {
		var names []string
		for _, q := range s.b.Queues("") {
			names = append(names, q.Name().Name)
		}
		return nil, notFound("queue", name, meant(name, names))
	}
	return q, err
}

func meant(name string, names []string) string {
	if near := Nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

func (s *Server) createQueue(r *http.Request) (any, error) {
	var doc NewQueue
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	if strings.HasPrefix(doc.Name, reservedPrefix) {
		return nil, invalid("names that begin with %s are given by the server", reservedPrefix)
	}
	args, err := brokerArgs(doc.Args)
	if err != nil {
		return nil, err
	}
	spec := broker.QueueSpec{Name: doc.Name, Durable: doc.Durable == nil || *doc.Durable,
		AutoDelete: doc.AutoDelete, Args: args}
	if err := s.c.Queues.Queue(&spec); err != nil {
		return nil, err
	}
	q, made, err := s.b.DeclareQueue(r.Context(), spec)
	if err == nil && !made {
		err = &broker.Error{Kind: broker.Exists, Op: "create queue", Name: doc.Name}
	}
	if err != nil {
		return nil, err
	}
	return created{s.queueDetail(q)}, nil
}

// deleteQueue deletes a queue, unless ?ifEmpty= or ?ifUnused= forbid it.
func (s *Server) deleteQueue(r *http.Request) (any, error) {
	q, err := s.queue(r.PathValue("queue"))
	if err != nil {
		return nil, err
	}
	o, err := deleteOptions(r)
	if err != nil {
		return nil, err
	}
	gone := queueRow(q, q.Stats())
	gone.Ready, err = s.b.DeleteQueue(r.Context(), q, o)
	return gone, err
}

func deleteOptions(r *http.Request) (o broker.DeleteOptions, err error) {
	for key, v := range r.URL.Query() {
		into := map[string]*bool{"ifEmpty": &o.IfEmpty, "ifUnused": &o.IfUnused}[key]
		if into == nil {
			return o, invalid("unknown parameter %q: ifEmpty, ifUnused", key)
		}
		if *into, err = strconv.ParseBool(v[0]); err != nil {
			return o, invalid("%s: %q is neither true nor false", key, v[0])
		}
	}
	return o, nil
}

func (s *Server) purgeQueue(r *http.Request) (any, error) {
	q, err := s.queue(r.PathValue("queue"))
	if err != nil {
		return nil, err
	}
	n, err := q.Purge(r.Context(), nil)
	return QueuePurged{Queue: q.Name().Name, Purged: n}, err
}

// How many records a look at a queue shows: each position is kept meanwhile.
const (
	lookRecords = 100
	lookMost    = 10_000
)

// browse streams records that wait, as they lie, and takes none.
func (s *Server) browse(w http.ResponseWriter, r *http.Request) {
	q, limit, err := s.openBrowse(r)
	if err != nil {
		writeProblem(w, asProblem(err))
		return
	}
	s.streaming(w, r, func(ctx context.Context, out *lineWriter) error {
		return q.Look(limit, func(d *broker.Delivery) bool {
			out.write(s.queueRecord(q, d))
			return out.err == nil && ctx.Err() == nil
		})
	})
}

func (s *Server) openBrowse(r *http.Request) (*broker.Queue, int, error) {
	for key := range r.URL.Query() {
		if key != "limit" {
			return nil, 0, invalid("unknown parameter %q: limit", key)
		}
	}
	limit, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("limit"), strconv.Itoa(lookRecords)))
	switch {
	case err != nil || limit < 1:
		return nil, 0, invalid("limit: %q is no number of records", r.URL.Query().Get("limit"))
	case limit > lookMost:
		return nil, 0, invalid("limit: at most %d records are shown at once", lookMost)
	}
	q, err := s.queue(r.PathValue("queue"))
	if err == nil && q.Spec().Owner != nil {
		err = &broker.Error{Kind: broker.Denied, Op: "browse", Name: q.String(), Err: errExclusive}
	}
	return q, limit, err
}

// queueRecord copies a delivery into its document.
func (s *Server) queueRecord(q *broker.Queue, d *broker.Delivery) QueueRecord {
	r := &d.Record
	doc := QueueRecord{
		Queue: q.Name().Name, Offset: int64(d.ID.Offset), Time: r.Time.UTC(), Exchange: r.Exchange,
		Key: r.Key, CC: r.CC, Deliveries: int(d.Deliveries), Priority: int(r.Priority),
		Transient: r.Transient,
	}
	if !r.Expires.IsZero() {
		doc.Expires = r.Expires.UTC()
	}
	if properties := s.b.Properties(r); len(properties) > 0 {
		doc.Properties = argsDocument(properties)
	}
	doc.Value, doc.ValueBase64 = TextOrBytes(append([]byte{}, r.Body...))
	doc.Deaths = s.deaths(r)
	return doc
}

// queueLags is how much waits in each queue.
func (s *Server) queueLags(all ...*broker.Queue) []QueueLag {
	rows := []QueueLag{}
	for _, q := range all {
		st := q.Stats()
		rows = append(rows, QueueLag{Queue: q.Name().Name, Ready: st.Ready, Leased: st.Leased,
			Subscriptions: st.Subscriptions, OldestSeconds: s.oldest(q, st.Ready)})
	}
	return rows
}

func bindingRows(all []broker.Binding) []Binding {
	rows := []Binding{}
	for _, b := range all {
		row := Binding{Source: shownExchange(b.Source), Key: b.Key}
		switch b.Destination.Kind {
		case broker.KindQueue:
			row.Queue = b.Destination.Name
		case broker.KindTopic:
			row.Topic = b.Destination.Name
		default:
			row.ToExchange = b.Destination.Name
		}
		if len(b.Args) > 0 {
			row.Args = argsDocument(b.Args)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b Binding) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Queue, b.Queue),
			cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ToExchange, b.ToExchange), cmp.Compare(a.Key, b.Key))
	})
	return rows
}
