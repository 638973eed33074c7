package broker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// A link leads records from a topic to a queue or an exchange, as a binding leads them from
// an exchange. It is a consumer of the topic: what it publishes, and its cursor behind that,
// change in one Tx, so each record is published once, also over a crash, and the records of
// a partition in their order. Its cursors are those of a group, so that its lag is seen
// where that of all groups is.
//
//	topic ---- cursor of the group ----> QueueRecord ----> queue, or exchange
//	           '------------- one Tx -------------------------'
//
// Where it cannot go on, because a queue refuses more or the disk is full, it waits and
// tries again: nothing is left out. It ends with its topic, and with what it leads to.

// Link says what a link leads where.
type Link struct {
	Namespace string
	Topic     string
	To        Name    // of KindQueue or KindExchange, of the same namespace
	Key       *string // the routing key; nil: the record's key. Not for a queue
}

// String reads "orders -> shop (key order.new)".
func (l *Link) String() string {
	if l.Key == nil {
		return fmt.Sprintf("%s -> %s", l.Topic, l.To.Name)
	}
	return fmt.Sprintf("%s -> %s (key %s)", l.Topic, l.To.Name, *l.Key)
}

// Group is the name of the group that has the cursors of the link.
func (l *Link) Group() string {
	sum := sha256.Sum256(l.id())
	return "link." + l.Topic[:min(len(l.Topic), 200)] + "." + hex.EncodeToString(sum[:4])
}

// id is the key of a link on disk: equal for equal links.
func (l *Link) id() []byte {
	key := appendString(appendString([]byte{familyLink}, l.Namespace), l.Topic)
	key = appendString(append(key, byte(l.To.Kind)), l.To.Name)
	if l.Key != nil {
		key = appendString(key, *l.Key)
	}
	return key
}

func decodeLinkKey(key []byte) (l Link, err error) {
	d := decoder{b: key[1:]}
	l = Link{Namespace: d.string(), Topic: d.string(), To: Name{Kind: Kind(d.byte())}}
	l.To.Namespace, l.To.Name = l.Namespace, d.string()
	if len(d.b) > 0 {
		k := d.string()
		l.Key = &k
	}
	return l, d.end("link key")
}

// links is those of a broker.
type links struct {
	changing chan struct{} // capacity 1: full while a link begins or ends
	mu       sync.Mutex    // a leaf
	all      map[string]*runningLink
}

// runningLink is a link at work: one goroutine.
type runningLink struct {
	Link
	b     *Broker
	topic *Topic
	stop  context.CancelFunc
	ended chan struct{} // closed when its goroutine has ended

	// These belong to its goroutine.
	f    *Follower
	held []Followed // taken from f, and not committed yet
	room [linkBatch]Followed
}

// linkBatch is how many records of a topic a link publishes in one Tx, at most.
const linkBatch = 256

// Link begins to lead records of a topic somewhere, durably on return: from its first record
// on, or only what comes from now on. A link that is there already is no error, and goes on
// as it was. Kinds: Invalid, NotFound (one of the two), Full (Limits.Links), Closed, Storage.
func (b *Broker) Link(ctx context.Context, l Link, fromFirst bool) error {
	const op = "link"
	if err := l.check(); err != nil {
		return &Error{Kind: Invalid, Op: op, Name: l.String(), Err: err}
	}
	if err := b.changeLinks(ctx); err != nil {
		return storeError(op, l.String(), err)
	}
	defer b.changedLinks()
	t, err := b.Topic(l.Namespace, l.Topic)
	if err == nil {
		_, err = b.linkedTo(&l)
	}
	if err != nil {
		return err
	}
	if r := b.linkOf(&l); r != nil && r.topic == t {
		return nil
	} else if r != nil { // its topic is gone, and it has not come to see that
		if _, err := b.endLink(r); err != nil {
			return storeError(op, l.String(), err)
		}
	}
	if n := len(b.Links()); n >= b.config.Limits.Links {
		return fail(Full, op, l.String(), "%d links exist, the limit is %d", n, b.config.Limits.Links)
	}
	seq, err := b.beginLink(ctx, &l, t, fromFirst)
	if err != nil {
		return err
	}
	if err := b.startLink(l, t); err != nil {
		return err
	}
	return b.settle(ctx, op, l.String(), seq)
}

// changeLinks waits for its turn to begin or end a link.
func (b *Broker) changeLinks(ctx context.Context) error {
	select {
	case b.links.changing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Broker) changedLinks() { <-b.links.changing }

func (l *Link) check() error {
	switch {
	case l.To.Namespace != l.Namespace:
		return fmt.Errorf("it leads from namespace %q to %q", l.Namespace, l.To.Namespace)
	case l.To.Kind != KindQueue && l.To.Kind != KindExchange:
		return errors.New("a topic is linked to a queue or an exchange")
	case l.To.Kind == KindQueue && l.Key != nil:
		return errors.New("a queue takes every record: a key means nothing")
	}
	return nil
}

// linkedTo is the exchange that a link publishes to.
func (b *Broker) linkedTo(l *Link) (*Exchange, error) {
	if l.To.Kind == KindExchange {
		return b.Exchange(l.Namespace, l.To.Name)
	}
	if _, err := b.Queue(l.Namespace, l.To.Name); err != nil {
		return nil, err
	}
	return b.Exchange(l.Namespace, "")
}

// beginLink writes the link down, and where it begins.
func (b *Broker) beginLink(ctx context.Context, l *Link, t *Topic, fromFirst bool) (storage.Seq, error) {
	tx := b.Begin()
	for _, p := range t.all() {
		start, end := p.Bounds()
		if fromFirst {
			end = start
		}
		tx.SaveCursor(l.Namespace, l.Group(), p, Cursor{Offset: end, LeaderEpoch: -1})
	}
	if _, err := tx.Commit(ctx); err != nil {
		return 0, err
	}
	var batch storage.Batch
	batch.Put(l.id(), append([]byte{valueVersion}, t.id[:]...))
	seq, err := b.store.Submit(&batch)
	return seq, storeError("link", l.String(), err)
}

// Unlink ends a link, durably on return. Kinds: NotFound, Closed, Storage.
func (b *Broker) Unlink(ctx context.Context, l Link) error {
	const op = "unlink"
	if err := b.changeLinks(ctx); err != nil {
		return storeError(op, l.String(), err)
	}
	defer b.changedLinks()
	r := b.linkOf(&l)
	if r == nil {
		return &Error{Kind: NotFound, Op: op, Name: l.String()}
	}
	seq, err := b.endLink(r)
	if err != nil {
		return storeError(op, l.String(), err)
	}
	return b.settle(ctx, op, l.String(), seq)
}

func (b *Broker) endLink(r *runningLink) (storage.Seq, error) {
	r.stop()
	<-r.ended
	return b.forgetLink(&r.Link)
}

// forgetLink deletes what is on disk of a link that does not run any more: first its name,
// since without its cursors it would begin anew.
func (b *Broker) forgetLink(l *Link) (storage.Seq, error) {
	var batch storage.Batch
	batch.Delete(l.id())
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return 0, err
	}
	b.links.mu.Lock()
	delete(b.links.all, string(l.id()))
	b.links.mu.Unlock()
	tx := b.Begin()
	tx.DeleteGroup(l.Namespace, l.Group())
	confirm, err := tx.Commit(b.life)
	return max(seq, confirm.seq), err
}

// Links returns all links, by topic and then by what they lead to.
func (b *Broker) Links() (all []Link) {
	b.links.mu.Lock()
	defer b.links.mu.Unlock()
	for _, r := range b.links.all {
		all = append(all, r.Link)
	}
	slices.SortFunc(all, func(x, y Link) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Topic, y.Topic),
			x.To.compare(y.To), cmp.Compare(orZero(x.Key), orZero(y.Key)))
	})
	return all
}

func (b *Broker) linkOf(l *Link) *runningLink {
	b.links.mu.Lock()
	defer b.links.mu.Unlock()
	return b.links.all[string(l.id())]
}

// loadLinks finds the links of an earlier start. One whose topic is gone has ended.
func (b *Broker) loadLinks(orphans *removal) error {
	b.links.all, b.links.changing = map[string]*runningLink{}, make(chan struct{}, 1)
	for key, value := range b.store.Scan([]byte{familyLink}) {
		l, err := decodeLinkKey(key)
		d := newDecoder(value)
		var id ID
		copy(id[:], d.take(len(id)))
		if err := errors.Join(err, d.end("link")); err != nil {
			return err
		}
		t := b.cat.byID[id]
		if t == nil {
			orphans.deleteAll([][]byte{slices.Clone(key)})
			continue
		}
		b.links.all[string(key)] = &runningLink{Link: l, topic: t}
	}
	return nil
}

// startLinks has all links of an earlier start go on. Some of them may end meanwhile.
func (b *Broker) startLinks() error {
	b.links.mu.Lock()
	all := slices.Collect(maps.Values(b.links.all))
	b.links.mu.Unlock()
	for _, r := range all {
		if err := b.startLink(r.Link, r.topic); err != nil {
			return err
		}
	}
	return nil
}

// startLink begins the work of a link where its group's cursors are.
func (b *Broker) startLink(l Link, t *Topic) error {
	wake := make(chan struct{}, 1)
	f, err := t.Follow(b.life, FollowOptions{Wake: wake, Partition: EveryPartition, From: FromFirst})
	if err != nil {
		return err
	}
	if group, err := b.Group(l.Namespace, l.Group()); err == nil { // else someone has deleted it
		for _, at := range f.cursors {
			if c, ok := group.Cursor(l.Topic, at.part.index); ok {
				at.next = c.Offset
			}
		}
	}
	life, stop := context.WithCancel(b.life)
	r := &runningLink{Link: l, b: b, topic: t, f: f, stop: stop, ended: make(chan struct{})}
	b.links.mu.Lock()
	b.links.all[string(l.id())] = r
	b.links.mu.Unlock()
	b.loops.Go(func() { r.run(life, wake) })
	return nil
}

// linkRetry is when a link tries again what was refused.
const linkRetry = time.Second

// run publishes until the link ends, or the broker.
func (r *runningLink) run(life context.Context, wake <-chan struct{}) {
	defer close(r.ended)
	defer r.stop()
	defer r.f.Close()
	said := "" // of what keeps it waiting
	for life.Err() == nil && r.b.usable() == nil {
		more, err := r.step(life)
		switch {
		case errors.Is(err, errLinkEnds):
			if r.end(life, err) {
				return
			}
		case err != nil && life.Err() == nil:
			if said != err.Error() {
				said = err.Error()
				r.b.config.Logger.Warn("a link waits", "link", r.String(), "error", err)
			}
			r.wait(life, nil, linkRetry)
		case !more:
			r.f.Rest()
			r.wait(life, wake, 0)
		default:
			said = ""
		}
	}
}

// wait waits for records, or for a time, or for the end.
func (r *runningLink) wait(life context.Context, wake <-chan struct{}, d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-wake:
	case <-over:
	case <-life.Done():
	case <-r.b.store.Failed():
	}
}

// errLinkEnds says that the topic of a link, or what it leads to, is gone.
var errLinkEnds = errors.New("the link ends")

// end forgets a link that has nothing to lead, or nowhere to. It is false where somebody has
// made what it leads to again, and perhaps has heard since that the link is there. Where
// forgetting fails the next Open finds the link, and ends it again.
func (r *runningLink) end(life context.Context, why error) bool {
	if r.b.changeLinks(life) != nil {
		return true // whoever ends it forgets it; or the broker ends
	}
	defer r.b.changedLinks()
	if r.stays() {
		return false
	}
	r.b.config.Logger.Info("a link has ended", "link", r.String(), "because", why)
	if _, err := r.b.forgetLink(&r.Link); err != nil {
		r.b.config.Logger.Warn("a link that has ended is still on disk", "link", r.String(), "error", err)
	}
	return true
}

// stays says whether a link has its topic, and what that leads to.
func (r *runningLink) stays() bool {
	t, err := r.b.Topic(r.Namespace, r.Link.Topic)
	if err != nil || t != r.topic {
		return false
	}
	_, err = r.b.linkedTo(&r.Link)
	return err == nil
}

// step publishes what is held, or the next records; more is false where there are none.
func (r *runningLink) step(life context.Context) (more bool, err error) {
	x, err := r.b.linkedTo(&r.Link)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errLinkEnds, err)
	}
	if len(r.held) == 0 {
		r.held, err = r.f.Take(r.room[:0], linkBatch)
		if errors.Is(err, NotFound) {
			return false, fmt.Errorf("%w: %w", errLinkEnds, err)
		}
		if err != nil && KindOf(err) != Closed { // a damaged batch is passed over
			r.b.config.Logger.Error("a link leaves records out", "link", r.String(), "error", err)
		}
	}
	if len(r.held) == 0 {
		return err != nil, nil
	}
	n, err := r.publish(life, x, len(r.held))
	r.held = r.held[n:]
	return true, err
}

// publish publishes the first n records that are held, or fewer where those are too much
// for one Tx, and says how many. That a queue is gone since they were routed is only to be
// tried again.
func (r *runningLink) publish(life context.Context, x *Exchange, n int) (int, error) {
	ordered := r.ordered()
	for ; ; n /= 2 {
		tx := r.b.Begin()
		for i := range r.held[:n] {
			m := r.message(&r.held[i].Record)
			if ordered {
				m.Group = KeyGroup(r.held[i].Record.Key)
			}
			tx.publishWhole(x, m)
		}
		last := &r.held[n-1]
		tx.SaveCursor(r.Namespace, r.Group(), r.topic.Partition(last.Partition),
			Cursor{Offset: last.Record.Offset + 1, LeaderEpoch: -1})
		_, err := tx.Commit(life)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, TooLarge) && n > 1, errors.Is(err, Full) && n > 1:
			// What fits goes first: of what does not, the first one waits.
		default:
			return 0, err
		}
	}
}

// ordered says whether the link leads to a queue with ordered groups. There a key is a group:
// what is in order for consumers of the topic stays so.
func (r *runningLink) ordered() bool {
	if r.To.Kind != KindQueue {
		return false
	}
	q, err := r.b.Queue(r.Namespace, r.To.Name)
	return err == nil && q.Spec().Settings.Groups == OrderedGroups
}

// KeyGroup is the group of records with a key, where nobody has said another one. Long keys that
// begin alike are one; what is no UTF-8 is shown as ?.
func KeyGroup(key []byte) string {
	return strings.ToValidUTF8(string(key[:min(len(key), MaxGroup)]), "?")
}

// message is what a record of the topic is to queues.
func (r *runningLink) message(rec *Record) QueueRecord {
	key := r.Link.Key
	if r.To.Kind == KindQueue {
		key = &r.To.Name
	}
	out := QueueRecord{Key: string(rec.Key), Body: rec.Value}
	if convert := r.b.config.FromTopic; convert != nil {
		out = convert(rec, key)
	}
	if out.Time, out.Exchange = (time.Time{}), ""; r.To.Kind == KindExchange {
		out.Exchange = r.To.Name
	}
	if key != nil {
		out.Key = *key
	}
	return out
}
