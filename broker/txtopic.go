package broker

import "slices"

// A record that is published reaches topics as it reaches queues, in the same storage
// batch: all of them have it, or none. A topic keeps it in Kafka's format: the body is
// the value, the routing key the key, now the time, and the headers are what the reader
// of its properties makes of them. What a Tx publishes to one partition is one batch, as
// far as the topic allows that.

// gathering is the records of a Tx on their way into topics.
type gathering struct {
	t    *Tx
	now  int64
	open map[*Partition]*gathered
	keep map[*Topic]int // where the records of this Tx go that have no key
}

// gathered is a batch that grows.
type gathered struct {
	recs  []Record
	bytes int
}

// gatherTopics makes appends of all that was routed to topics. Called without a lock.
func (t *Tx) gatherTopics(now int64) error {
	g := gathering{t: t, now: now, open: map[*Partition]*gathered{}, keep: map[*Topic]int{}}
	var order []*Partition
	for i := range t.publishes {
		p := &t.publishes[i]
		if len(p.topics) == 0 {
			continue
		}
		rec := t.b.topicRecord(&p.rec)
		for _, topic := range p.topics {
			part, err := g.add(topic, &rec)
			if err != nil {
				return err
			}
			if part == nil {
				p.refused = true
				continue
			}
			p.parts = append(p.parts, part)
			if !slices.Contains(order, part) {
				order = append(order, part)
			}
		}
	}
	for _, part := range order {
		if err := g.seal(part); err != nil {
			return err
		}
	}
	return nil
}

// topicRecord is what a record of a queue becomes in a topic.
func (b *Broker) topicRecord(r *QueueRecord) Record {
	rec := Record{Value: r.Body}
	if rec.Value == nil {
		rec.Value = []byte{} // there is a value, and it is empty
	}
	if r.Key != "" {
		rec.Key = []byte(r.Key)
	}
	if reader := b.config.Props[r.Format]; reader != nil {
		rec.Headers = reader.TopicHeaders(r)
	}
	return rec
}

// add puts a record into the batch of its partition; nil: it is larger than the topic
// accepts.
func (g *gathering) add(t *Topic, rec *Record) (*Partition, error) {
	limit := t.batchBytes()
	if batchHeader+recordBytes(rec, 0) > limit {
		return nil, nil
	}
	p := g.place(t, rec)
	batch := g.open[p]
	if batch != nil && batch.bytes+recordBytes(rec, len(batch.recs)) > limit {
		if err := g.seal(p); err != nil {
			return nil, err
		}
		batch = nil
	}
	if batch == nil {
		batch = &gathered{bytes: batchHeader}
		g.open[p] = batch
	}
	batch.bytes += recordBytes(rec, len(batch.recs))
	batch.recs = append(batch.recs, *rec)
	return p, nil
}

// place chooses the partition of a record as Kafka's clients do: by its key, and without
// one those that come together stay together.
func (g *gathering) place(t *Topic, rec *Record) *Partition {
	parts := t.all()
	if len(parts) == 1 {
		return parts[0]
	}
	if rec.Key != nil {
		return parts[KeyPartition(rec.Key, len(parts))]
	}
	at, ok := g.keep[t]
	if !ok {
		at = int((t.turn.Add(1) - 1) % uint32(len(parts)))
		g.keep[t] = at
	}
	return parts[at]
}

// seal stages what was gathered for a partition.
func (g *gathering) seal(p *Partition) error {
	raw, err := encodeBatch(nil, None, g.now, g.open[p].recs)
	if err != nil {
		return err
	}
	info, err := p.applyRules(raw, decodeInfo(raw, uint16(None)), g.now)
	if err != nil {
		return err
	}
	g.t.appends = append(g.t.appends, staged{p: p, raw: raw, info: info, now: g.now, result: -1})
	delete(g.open, p)
	return nil
}

// dropGone forgets records for topics that were deleted since they were routed there. An
// append that was asked for by name is refused instead.
func (c *commit) dropGone() {
	c.tx.appends = slices.DeleteFunc(c.tx.appends, func(a staged) bool {
		return a.result < 0 && a.p.dead
	})
}

// tookLocked is the topics that take a record.
func (p *txPublish) tookLocked() (topics []*Topic) {
	for _, part := range p.parts {
		if !part.dead {
			topics = append(topics, part.topic)
		}
	}
	return topics
}

// reachedLocked is what is known of a publish before its queues are asked.
func (p *txPublish) reachedLocked() (r Routed) {
	r.Refused, r.Offset = p.refused, noOffset
	for _, part := range p.parts {
		if !part.dead {
			r.Queues++
		}
	}
	return r
}
