package broker

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// roll draws the next action for the state that the model is in.
func (d *die) roll(m *model) action {
	topics := slices.Sorted(maps.Keys(m.topics))
	if len(topics) == 0 || d.IntN(25) == 0 {
		return d.createTopic()
	}
	topic := topics[d.IntN(len(topics))]
	part := d.IntN(len(m.topics[topic].parts))
	switch n := d.IntN(100); {
	case n < 4:
		return d.deleteTopic(topic)
	case n < 7:
		return d.growTopic(topic, len(m.topics[topic].parts)+d.IntN(2))
	case n < 12:
		return d.trim(topic, part)
	case n < 30:
		return d.write(topic, part)
	case n < 60:
		return d.appendFrom(m, topic, part)
	case n < 72:
		return d.groupChange(topic, part)
	case n < 87:
		return d.appendStream(m)
	}
	return d.transaction(topic, part)
}

func (d *die) createTopic() action {
	name, n := fmt.Sprint("t", d.IntN(4)), 1+d.IntN(3)
	return action{
		text: fmt.Sprintf("create %s with %d", name, n),
		on: func(m *model) string {
			if m.topics[name] != nil {
				return "already exists"
			}
			m.topics[name] = &modelTopic{}
			m.grow(name, n)
			return "done"
		},
		real: func(b *Broker) (string, Confirm) {
			_, err := b.CreateTopic(ctx, TopicSpec{Name: name, Partitions: n})
			return kindWord(err), Confirm{}
		},
	}
}

func (d *die) deleteTopic(topic string) action {
	return action{
		text: "delete " + topic,
		on:   func(m *model) string { m.deleteTopic(topic); return "done" },
		real: func(b *Broker) (string, Confirm) {
			return kindWord(b.DeleteTopic(ctx, "", topic)), Confirm{}
		},
	}
}

func (d *die) growTopic(topic string, n int) action {
	return action{
		text: fmt.Sprintf("grow %s to %d", topic, n),
		on: func(m *model) string {
			if n <= len(m.topics[topic].parts) {
				return "invalid"
			}
			m.grow(topic, n)
			return "done"
		},
		real: func(b *Broker) (string, Confirm) {
			return kindWord(b.GrowTopic(ctx, "", topic, n)), Confirm{}
		},
	}
}

// trim removes everything: how far that is depends on nothing but the submissions,
// because the real one waits until they are durable.
func (d *die) trim(topic string, part int) action {
	return action{
		text: fmt.Sprintf("trim %s/%d", topic, part),
		on: func(m *model) string {
			p := m.part(topic, part)
			p.start = len(p.records)
			return "done"
		},
		real: func(b *Broker) (string, Confirm) {
			p, err := findPart(b, topic, part)
			if err != nil {
				return kindWord(err), Confirm{}
			}
			err = settleAll(b)
			if err == nil {
				_, err = p.Trim(ctx, -1)
			}
			return kindWord(err), Confirm{}
		},
	}
}

// settleAll waits until all that was submitted is durable.
func settleAll(b *Broker) error {
	var batch storage.Batch
	batch.Delete([]byte{familyTrash}) // there is no such key
	seq, err := b.store.Submit(&batch)
	if err == nil {
		err = b.store.Await(ctx, seq)
	}
	return err
}

func findPart(b *Broker, topic string, part int) (*Partition, error) {
	t, err := b.Topic("", topic)
	if err != nil {
		return nil, err
	}
	return t.Partition(part), nil
}

func (d *die) write(topic string, part int) action {
	values := d.values()
	return action{
		text: fmt.Sprintf("write %s/%d %v", topic, part, values),
		on: func(m *model) string {
			return fmt.Sprintf("at %d", m.part(topic, part).append(values))
		},
		real: func(b *Broker) (string, Confirm) {
			p, err := findPart(b, topic, part)
			if err != nil {
				return kindWord(err), Confirm{}
			}
			return word(p.Write(ctx, toRecords(values)...))
		},
	}
}

// appendFrom is an idempotent batch: mostly the next one, sometimes one of the last
// again, a gap, or another epoch.
func (d *die) appendFrom(m *model, topic string, part int) action {
	id, epoch, seq, values := int64(1+d.IntN(3)), int16(0), int32(0), d.values()
	if s := m.part(topic, part).producers[id]; s != nil {
		last := s.batches[len(s.batches)-1]
		epoch, seq = s.epoch, last.seq+int32(last.n)
		switch d.IntN(10) {
		case 0, 1, 2:
			b := s.batches[max(0, len(s.batches)-1-d.IntN(6))]
			seq, values = b.seq, slices.Repeat([]string{"again"}, b.n)
		case 3:
			seq++
		case 4:
			epoch, seq = epoch+1, int32(d.IntN(2))
		case 5:
			epoch--
		}
	}
	epoch = max(epoch, 0)
	return action{
		text: fmt.Sprintf("append %s/%d from %d epoch %d sequence %d %v",
			topic, part, id, epoch, seq, values),
		on: func(m *model) string {
			return m.part(topic, part).appendFrom(id, epoch, seq, values)
		},
		real: func(b *Broker) (string, Confirm) {
			p, err := findPart(b, topic, part)
			if err != nil {
				return kindWord(err), Confirm{}
			}
			raw, err := EncodeBatch(nil, None, toRecords(values)...)
			if err == nil {
				err = SetProducer(raw, id, epoch, seq)
			}
			if err != nil {
				return kindWord(err), Confirm{}
			}
			return word(p.Append(ctx, raw))
		},
	}
}

func (d *die) groupChange(topic string, part int) action {
	name, state, offset := fmt.Sprint("g", d.IntN(2)), fmt.Sprint("state", d.IntN(100)), d.IntN(100)
	cursor := fmt.Sprintf("%s/%d", topic, part)
	onModel := []func(m *model){
		func(m *model) { m.group(name).state = state },
		func(m *model) { m.group(name).cursors[cursor] = offset },
		func(m *model) {
			if m.groups[name] != nil {
				delete(m.groups[name].cursors, cursor)
			}
		},
		func(m *model) { delete(m.groups, name) },
	}
	onTx := []func(tx *Tx, p *Partition){
		func(tx *Tx, _ *Partition) { tx.SaveGroup("", name, []byte(state)) },
		func(tx *Tx, p *Partition) { tx.SaveCursor("", name, p, Cursor{Offset: Offset(offset)}) },
		func(tx *Tx, _ *Partition) { tx.DeleteCursor("", name, topic, part) },
		func(tx *Tx, _ *Partition) { tx.DeleteGroup("", name) },
	}
	verbs := make([]int, 1+d.IntN(4))
	for i := range verbs {
		verbs[i] = []int{0, 1, 1, 1, 2, 3}[d.IntN(6)]
	}
	return action{
		text: fmt.Sprintf("group %s: changes %v, %s at %d", name, verbs, cursor, offset),
		on: func(m *model) string {
			for _, v := range verbs {
				onModel[v](m)
			}
			return "done"
		},
		real: func(b *Broker) (string, Confirm) {
			p, err := findPart(b, topic, part)
			if err != nil {
				return kindWord(err), Confirm{}
			}
			tx := b.Begin()
			for _, v := range verbs {
				onTx[v](tx, p)
			}
			c, err := tx.Commit(ctx)
			return kindWord(err), c
		},
	}
}

func (d *die) appendStream(m *model) action {
	stream, values := fmt.Sprint("e", d.IntN(3)), d.values()
	want := len(m.streams[stream]) + d.IntN(6)/5 // one in six is wrong
	if d.IntN(4) == 0 {
		want = -1
	}
	return action{
		text: fmt.Sprintf("stream %s at %d %v", stream, want, values),
		on:   func(m *model) string { return m.appendStream(stream, want, values) },
		real: func(b *Broker) (string, Confirm) {
			s, err := b.Streams("", "s")
			if err != nil {
				return kindWord(err), Confirm{}
			}
			return word(s.Append(ctx, stream, Expect(want), toRecords(values)...))
		},
	}
}

// transaction appends to a partition and a stream and moves a cursor, or does
// nothing because the stream is at another version.
func (d *die) transaction(topic string, part int) action {
	stream, values, wrong := fmt.Sprint("e", d.IntN(3)), d.values(), d.IntN(4) == 0
	cursor := fmt.Sprintf("%s/%d", topic, part)
	return action{
		text: fmt.Sprintf("transaction on %s and %s %v, wrong %v", cursor, stream, values, wrong),
		on: func(m *model) string {
			if wrong {
				return "conflict"
			}
			base := m.part(topic, part).append(values)
			m.group("g0").cursors[cursor] = base
			return fmt.Sprintf("at %d, ", base) + m.appendStream(stream, -1, values)
		},
		real: func(b *Broker) (string, Confirm) {
			p, err := findPart(b, topic, part)
			if err != nil {
				return kindWord(err), Confirm{}
			}
			s, err := b.Streams("", "s")
			if err != nil {
				return kindWord(err), Confirm{}
			}
			raw, err := EncodeBatch(nil, None, toRecords(values)...)
			if err != nil {
				return kindWord(err), Confirm{}
			}
			tx, want := b.Begin(), Any
			if wrong {
				want = 1 << 40
			}
			tx.Append(p, raw)
			tx.SaveCursor("", "g0", p, Cursor{Offset: p.next})
			tx.AppendStream(s, stream, want, toRecords(values))
			c, err := tx.Commit(ctx)
			if err != nil {
				return kindWord(err), Confirm{}
			}
			onPart, _ := word(tx.Result(0), nil)
			onStream, _ := word(tx.Result(1), nil)
			return onPart + ", " + onStream, c
		},
	}
}
