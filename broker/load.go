package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings/storage"
)

// load rebuilds the state from the store's keys. It reads no record: the time it
// takes grows with topics, groups, cursors, producers and queues.
func (b *Broker) load() error {
	b.cat = catalog{
		topics: make(map[Name]*Topic), byID: make(map[ID]*Topic),
		groups: make(map[Name]*Group), streams: make(map[Name]*Streams),
		exchanges: make(map[Name]*Exchange), queues: make(map[Name]*Queue),
		trash: make(map[storage.LogID]bool), namespaces: make(map[string]*namespace), departed: make(chan struct{}),
		users: make(map[string]*user), permissions: make(map[rightKey]Permission),
		topicPermissions: make(map[rightKey]map[string]TopicPermission),
	}
	b.rules.Store(newRuleBook(nil))
	orphans := removal{store: b.store}
	for _, step := range []func(*removal) error{
		b.loadID, b.loadNamespaces, b.loadUsers, b.loadPermissions, b.loadCatalog, b.loadProducers,
		b.loadCursors, b.loadProducerIDs, b.loadTrash, b.loadBindings, b.loadPolicies, b.loadHandOuts,
		b.loadSchedules, b.loadLinks, b.loadFacts,
	} {
		if err := step(&orphans); err != nil {
			return err
		}
	}
	_, err := orphans.submit()
	if err != nil {
		return err
	}
	b.loadTimes()
	b.wakeSchedules()
	if err := errors.Join(b.trimQueues(), b.trimSchedules(), b.trimLedgers()); err != nil {
		return err
	}
	return b.finishNamespaces()
}

// loadID reads the broker's identity or, in a new directory, makes one. It is
// durable before anyone is told.
func (b *Broker) loadID(*removal) error {
	if value, ok := b.store.Get([]byte{familyBroker}); ok {
		d := newDecoder(value)
		copy(b.id[:], d.take(len(b.id)))
		d.varint() // when it was created
		return d.end("broker identity")
	}
	b.id = newID()
	var batch storage.Batch
	value := append([]byte{valueVersion}, b.id[:]...)
	batch.Put([]byte{familyBroker}, binary.AppendVarint(value, b.nowMillis()))
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return err
	}
	return b.store.Await(context.Background(), seq)
}

func (b *Broker) loadCatalog(*removal) error {
	for key, value := range b.store.Scan([]byte{familyCatalog}) {
		name, err := decodeCatalogKey(key)
		if err == nil {
			err = b.loadEntry(name, value)
		}
		if err != nil {
			return fmt.Errorf("catalog entry %s: %w", name, err)
		}
	}
	return nil
}

func (b *Broker) loadEntry(name Name, value []byte) (err error) {
	switch name.Kind {
	case KindTopic:
		var t *Topic
		if t, err = b.decodeTopic(name, value); err == nil {
			b.cat.addTopic(t)
		}
	case KindGroup:
		var g *Group
		if g, err = b.decodeGroup(name, value); err == nil {
			b.cat.groups[name] = g
		}
	case KindStreams:
		var s *Streams
		if s, err = b.decodeStreams(name, value); err == nil {
			b.cat.streams[name] = s
		}
	case KindExchange:
		var x *Exchange
		if x, err = b.decodeExchange(name, value); err == nil {
			b.cat.exchanges[name] = x
		}
	case KindQueue:
		var q *Queue
		if q, err = b.decodeQueue(name, value); err == nil {
			b.cat.queues[name] = q
		}
	default:
		err = fmt.Errorf("kind %d: %w", name.Kind, storage.ErrFormat)
	}
	return err
}

// loadProducers gives the producers back to their partitions. Those whose log is
// gone are left over from a deletion that a crash cut short.
func (b *Broker) loadProducers(orphans *removal) error {
	byLog := make(map[storage.LogID]*Partition, b.cat.partitions)
	for _, t := range b.cat.topics {
		for _, p := range t.all() {
			byLog[p.log.ID()] = p
		}
	}
	var gone [][]byte
	for key, value := range b.store.Scan([]byte{familyProducer}) {
		log, id, err := decodeProducerKey(key)
		if err != nil {
			return err
		}
		p := byLog[log]
		if p == nil {
			gone = append(gone, append([]byte(nil), key...))
			continue
		}
		state, err := decodeProducer(value)
		if err != nil {
			return fmt.Errorf("producer %d in %s: %w", id, p, err)
		}
		if p.producers == nil {
			p.producers = make(map[int64]*producer)
		}
		p.producers[id] = state
	}
	orphans.deleteAll(gone)
	return nil
}

// loadCursors gives the cursors back to their groups. Those whose topic or group
// is gone are left over from a deletion.
func (b *Broker) loadCursors(orphans *removal) error {
	var gone [][]byte
	for key, value := range b.store.Scan([]byte{familyCursor}) {
		name, at, err := decodeCursorKey(key)
		if err != nil {
			return err
		}
		g := b.cat.groups[name]
		if g == nil || b.cat.byID[at.topic] == nil {
			gone = append(gone, append([]byte(nil), key...))
			continue
		}
		c, err := decodeCursor(value)
		if err != nil {
			return fmt.Errorf("cursor of group %s: %w", name, err)
		}
		g.setCursorLocked(at, c)
	}
	orphans.deleteAll(gone)
	return nil
}

func (b *Broker) loadProducerIDs(*removal) error {
	b.producerIDs.next, b.producerIDs.limit = 1, 1
	value, ok := b.store.Get([]byte{familyProducerID})
	if !ok {
		return nil
	}
	d := newDecoder(value)
	next := d.varint()
	b.producerIDs.next, b.producerIDs.limit = next, next
	return d.end("producer ids")
}

func (b *Broker) loadTrash(*removal) error {
	for key := range b.store.Scan([]byte{familyTrash}) {
		d := decoder{b: key[1:]}
		b.cat.trash[storage.LogID(d.uint64())] = true
		if err := d.end("trash key"); err != nil {
			return err
		}
	}
	return nil
}

// loadHandOuts deletes what is left of queues that are gone, and of records that
// were settled.
func (b *Broker) loadHandOuts(orphans *removal) error {
	type place struct {
		*Queue
		*lane
	}
	lanes := map[storage.LogID]place{}
	for _, q := range b.cat.queues {
		for _, l := range q.lanes {
			lanes[l.log.ID()] = place{q, l}
		}
	}
	var gone [][]byte
	for _, family := range []byte{familyHanded, familyTransient, familyGrouped, familyDeliveries} {
		for key := range b.store.Scan([]byte{family}) {
			d := decoder{b: key[1:]}
			at := lanes[storage.LogID(d.uint64())]
			if at.lane != nil && (family != familyDeliveries || !at.settled.Has(Offset(d.uint64()))) {
				at.counted = at.counted || family == familyDeliveries
				continue
			}
			gone = append(gone, append([]byte(nil), key...))
		}
	}
	orphans.deleteAll(gone)
	return nil
}

// loadTimes lets time go on for queues: unused ones expire, and the deliver loop looks
// for records that did, or were transient.
func (b *Broker) loadTimes() {
	for _, q := range b.cat.queues {
		q.mu.Lock()
		q.usedLocked()
		q.setTimerLocked() // leases may be left
		if q.readyLocked() > 0 {
			q.lookLocked()
		}
		q.mu.Unlock()
	}
}

func (r *removal) deleteAll(keys [][]byte) {
	for _, key := range keys {
		r.delete(key)
	}
}
