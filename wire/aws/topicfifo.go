package aws

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Attributes that FIFO topics alone have.
const (
	attrTopicContent = "ContentBasedDeduplication"
	attrTopicScope   = "FifoThroughputScope"
	attrArchive      = "ArchivePolicy"
)

// scopeGroup is the scope of deduplication in which an id is one of its group.
const scopeGroup = "MessageGroup"

// topicDedupTime is for how long a FIFO topic takes a message once.
const topicDedupTime = 5 * time.Minute

func (p *topic) fifo() bool { return isFIFO(p.name()) }

// topicRules are what a topic wants of messages by its type.
type topicRules struct {
	fifo    bool
	content bool // a message makes an id
	groups  bool // an id is one of its group
}

func (p *topic) rules() topicRules {
	if !p.fifo() {
		return topicRules{}
	}
	d := p.declared()
	return topicRules{true, d.attribute(attrTopicContent) == "true", d.attribute(attrTopicScope) == scopeGroup}
}

// checkIDs checks the ids of a message by the rules of its topic.
func (m *announcement) checkIDs(r topicRules) *Error {
	group, id := m.MessageGroupId, m.MessageDeduplicationId
	switch {
	case id != nil && !r.fifo:
		return badParameter("MessageDeduplicationId Reason: The request includes MessageDeduplicationId " +
			"parameter that is not valid for this topic type")
	case id != nil && !groupID.MatchString(*id):
		return badParameter("MessageDeduplicationId Reason: it has 1 to 128 alphanumeric and punctuation " +
			"characters")
	case group != nil && !groupID.MatchString(*group):
		return badParameter("MessageGroupId Reason: it has 1 to 128 alphanumeric and punctuation characters")
	case group == nil && r.fifo:
		return badParameter("The MessageGroupId parameter is required for FIFO topics")
	case id == nil && r.fifo && !r.content:
		return badParameter("The topic should either have ContentBasedDeduplication enabled or " +
			"MessageDeduplicationId provided explicitly")
	}
	return nil
}

// topicDedupID is that of a message to a FIFO topic: its own, or that of its text.
func (m *announcement) topicDedupID() string {
	if m.MessageDeduplicationId != nil {
		return *m.MessageDeduplicationId
	}
	sum := sha256.Sum256([]byte(m.Message))
	return hex.EncodeToString(sum[:])
}

// inOrder waits for the turn to publish to a FIFO topic: the order of its sequence numbers is that of its
// commits. Others have no order.
func (p *topic) inOrder(ctx context.Context) (done func(), err error) {
	if p.turn == nil {
		return func() {}, nil
	}
	select {
	case p.turn <- struct{}{}:
		return func() { <-p.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// The last sequence number of a topic is a time in units of which 2^20 are a millisecond, or the next one:
// so that none comes twice, also after a restart.
const sequencePerMilli = 20

func (p *topic) nextSequence(now time.Time) uint64 {
	p.numbers.Lock()
	defer p.numbers.Unlock()
	p.sequence = max(p.sequence+1, uint64(now.UnixMilli())<<sequencePerMilli)
	return p.sequence
}

// firstTopicSequence makes sequence numbers as long as those of SNS.
const firstTopicSequence = 10_000_000_000_000_000_000

// sequenceNumber is "" where the topic is no FIFO one.
func (n *notice) sequenceNumber() string {
	if n.sequence == 0 {
		return ""
	}
	return strconv.FormatUint(firstTopicSequence+n.sequence, 10)
}

// number makes a notice the next one of a FIFO topic. What is told who publishes it again is its sequence
// number and something random, of which its id is made. Its time is now: in an archive times are in order.
func (n *notice) number(p *topic, now time.Time) (note [16]byte) {
	n.sequence, n.sent = p.nextSequence(now), now.UnixMilli()
	binary.BigEndian.PutUint64(note[:], n.sequence)
	_, _ = rand.Read(note[8:]) // never fails
	n.id = noticeID(note)
	return note
}

func noticeID(note [16]byte) (id [16]byte) {
	sum := sha256.Sum256(note[:])
	copy(id[:], sum[:])
	return id
}

// isAgain makes a notice the one that was published before.
func (n *notice) isAgain(note [16]byte) {
	n.sequence, n.id = binary.BigEndian.Uint64(note[:]), noticeID(note)
}

// once says which notices are the same as one. No id has a byte 0 in it.
func (n *notice) once(r topicRules, note [16]byte) *broker.Once {
	o := &broker.Once{Note: note}
	group := ""
	if r.groups {
		group = n.group
	}
	sum := sha256.Sum256([]byte(group + "\x00" + n.dedup))
	copy(o.Key[:], sum[:])
	return o
}
