package broker

import (
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// groupEdit is what one Tx does to one group, all its calls folded into one: the
// group as it will be.
type groupEdit struct {
	name  Name
	group *Group // nil if it does not exist yet

	wiped    bool   // what was there before goes, state and cursors
	exists   bool   // the group is there afterwards
	newState bool   // state is set
	state    []byte // its new value
	cursors  []cursorEdit
}

// cursorEdit sets a cursor, or removes it where cursor is nil.
type cursorEdit struct {
	at     cursorAt
	part   *Partition
	cursor *Cursor
}

// planGroups folds the changes of the Tx into edits, by group. The catalog is
// locked: it resolves names.
func (c *commit) planGroups() error {
	c.edits = c.edits[:0]
	created := 0
	for i := range c.tx.changes {
		ch := &c.tx.changes[i]
		e := c.editOf(ch.group)
		was := e.exists
		if err := c.fold(e, ch); err != nil {
			return err
		}
		if e.group == nil && e.exists && !was {
			created++
			if ns := c.b.cat.namespaces[e.name.Namespace]; ns != nil && ns.ending {
				return fail(Conflict, "commit", e.name.String(), "its namespace is being deleted")
			}
		}
	}
	if limit := c.b.config.Limits.Groups; created > 0 && len(c.b.cat.groups)+created > limit {
		return fail(Full, "commit", "", "%d groups exist, the limit is %d",
			len(c.b.cat.groups), limit)
	}
	slices.SortFunc(c.edits, func(a, b *groupEdit) int { return a.name.compare(b.name) })
	return nil
}

// editOf finds the edit of a group. A Tx touches few groups, so this is a search.
func (c *commit) editOf(name Name) *groupEdit {
	for _, e := range c.edits {
		if e.name == name {
			return e
		}
	}
	g := c.b.cat.groups[name]
	e := &groupEdit{name: name, group: g, exists: g != nil}
	c.edits = append(c.edits, e)
	return e
}

func (c *commit) fold(e *groupEdit, ch *txChange) error {
	switch ch.do {
	case saveGroup:
		e.exists, e.newState, e.state = true, true, ch.state
	case deleteGroup:
		*e = groupEdit{name: e.name, group: e.group, wiped: true}
	case saveCursor:
		t := ch.part.topic
		if c.b.cat.byID[t.id] != t {
			return &Error{Kind: NotFound, Op: "save cursor", Name: ch.part.String()}
		}
		e.exists = true
		e.cursors = append(e.cursors, cursorEdit{
			at: cursorAt{t.id, int32(ch.part.index)}, part: ch.part, cursor: &ch.cursor,
		})
	case deleteCursor:
		t := c.b.cat.topics[Name{KindTopic, ch.group.Namespace, ch.topic}]
		if t != nil {
			e.cursors = append(e.cursors, cursorEdit{at: cursorAt{t.id, ch.partition}})
		}
	}
	return nil
}

// changesCatalog reports whether a group appears or disappears.
func (c *commit) changesCatalog() bool {
	return slices.ContainsFunc(c.edits, func(e *groupEdit) bool {
		return e.exists != (e.group != nil)
	})
}

// stage puts the edit into the storage batch. The group's lock is held. Cursors of a group that
// is made again go with the same batch, or a crash could give them to the new one.
func (e *groupEdit) stage(batch *storage.Batch) {
	if e.wiped && e.exists {
		e.deleteCursors(batch.Delete)
	}
	prefix := slices.Clip(cursorPrefix(e.name))
	switch {
	case e.exists && (e.group == nil || e.wiped || e.newState):
		batch.Put(catalogKey(e.name), encodeGroup(e.state))
	case !e.exists && e.group != nil:
		batch.Delete(catalogKey(e.name))
	}
	if !e.exists {
		return
	}
	for _, ce := range e.cursors {
		key := appendCursorKey(prefix, ce.at)
		if ce.cursor == nil {
			batch.Delete(key)
			continue
		}
		batch.Put(key, ce.cursor.appendTo(nil))
	}
}

// deleteCursors calls del with the key of every cursor that the group has.
func (e *groupEdit) deleteCursors(del func(key []byte)) {
	if e.group == nil {
		return
	}
	prefix := slices.Clip(cursorPrefix(e.name))
	for topic, parts := range e.group.cursors {
		for i := range parts {
			del(appendCursorKey(prefix, cursorAt{topic, i}))
		}
	}
}

// clear deletes the cursors of groups that have just been deleted, whose number has no bound, in
// as many batches as it takes. It returns the last frame's number, 0 if there was nothing to do.
//
// The groups are gone already: what a crash or a store that is being closed leaves behind belongs
// to nothing, and the next Open deletes it. That is why an error changes nothing.
func (c *commit) clear() storage.Seq {
	r := removal{store: c.b.store}
	for _, e := range c.edits {
		if !e.exists {
			e.deleteCursors(r.delete)
		}
	}
	seq, _ := r.submit()
	return seq
}

// apply makes the edit part of the state and reports the cursors that moved.
func (e *groupEdit) apply(b *Broker, seq storage.Seq) {
	g := e.group
	if e.wiped && g != nil {
		g.cursors, g.state = nil, nil
	}
	switch {
	case !e.exists && g != nil:
		delete(b.cat.groups, e.name)
		return
	case !e.exists:
		return
	case g == nil:
		// Nobody else can see it yet: the catalog is locked for writing.
		g = &Group{b: b, name: e.name}
		b.cat.groups[e.name] = g
	}
	g.changed = seq
	if e.newState {
		g.state = e.state
	}
	for _, ce := range e.cursors {
		if ce.cursor == nil {
			g.dropCursorLocked(ce.at)
			continue
		}
		g.setCursorLocked(ce.at, *ce.cursor)
		b.tellCursor(seq, e.name, ce)
	}
}

func (b *Broker) tellCursor(seq storage.Seq, group Name, ce cursorEdit) {
	if b.feed == nil {
		return
	}
	b.feed.push(seq, &CursorMoved{
		Group: group, Topic: ce.part.topic.name.Name, Partition: ce.part.index, Cursor: *ce.cursor,
	}, nil)
}
