package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Attributes that FIFO queues alone have, and values of them.
const (
	attrFIFO    = "FifoQueue"
	attrContent = "ContentBasedDeduplication"
	attrScope   = "DeduplicationScope"
	attrLimit   = "FifoThroughputLimit"

	perGroup = "perMessageGroupId"
	inGroup  = "messageGroup"
)

// isFIFO says of which type a queue is, by its name: the attribute agrees with it.
func isFIFO(name string) bool { return strings.HasSuffix(name, fifoSuffix) }

// isName says whether a queue can have a name; the suffix counts.
func isName(name string) bool {
	return len(name) <= 80 && queueName.MatchString(strings.TrimSuffix(name, fifoSuffix))
}

func (d *declared) fifo() bool { return d.attributes[attrFIFO] == "true" }

// checkFIFO refuses to make a queue one of the other type.
func checkFIFO(_ *Server, _, value string) error {
	if !strings.EqualFold(value, "true") {
		return wrongBecause(attrFIFO, "Modifying queue type is not supported.")
	}
	return nil
}

// checkThroughput refuses a high throughput of groups that are not deduplicated apart.
func (d *declared) checkThroughput() error {
	if d.attribute(attrLimit) == perGroup && d.attribute(attrScope) != inGroup {
		return wrongBecause(attrLimit, "The "+perGroup+" value is allowed only when the value for "+
			attrScope+" is "+inGroup+".")
	}
	return nil
}

// rules are what a queue wants of messages by its type.
type rules struct {
	fifo    bool
	content bool // a body makes an id
	groups  bool // an id is one of its group
}

func rulesOf(q *broker.Queue) rules {
	if !isFIFO(q.Name().Name) {
		return rules{}
	}
	return rules{true, textOf(q, attrContent) == "true", textOf(q, attrScope) == inGroup}
}

const (
	notForType = "The request include parameter that is not valid for this queue type."
	idForm     = " can only include alphanumeric and punctuation characters. 1 to 128 in length."
)

// checkIDs checks the ids of a message, and its delay, by the rules of its queue.
func (m *message) checkIDs(r rules) *Error {
	group, id, delay := m.MessageGroupId, m.MessageDeduplicationId, m.DelaySeconds
	switch {
	case id != nil && !r.fifo:
		return wrong(short(*id), "MessageDeduplicationId", notForType)
	case id != nil && !groupID.MatchString(*id):
		return wrong(short(*id), "MessageDeduplicationId", "MessageDeduplicationId"+idForm)
	case group != nil && !groupID.MatchString(*group):
		return wrong(short(*group), "MessageGroupId", "MessageGroupId"+idForm)
	case delay != nil && *delay != 0 && r.fifo:
		return wrong(*delay, attrDelay, notForType)
	}
	return m.needIDs(r)
}

// needIDs says which id a message of a FIFO queue lacks.
func (m *message) needIDs(r rules) *Error {
	switch {
	case !r.fifo:
		return nil
	case m.MessageGroupId == nil:
		return missing("MessageGroupId")
	case m.MessageDeduplicationId == nil && !r.content:
		return errorf(invalidParameter, "The queue should either have ContentBasedDeduplication enabled or "+
			"MessageDeduplicationId provided explicitly")
	}
	return nil
}

// dedupTime is for how long a FIFO queue takes a message once.
const dedupTime = 5 * time.Minute

// dedupID is that of a message of a FIFO queue: its own, or that of its body.
func (m *message) dedupID() string {
	if m.MessageDeduplicationId != nil {
		return *m.MessageDeduplicationId
	}
	sum := sha256.Sum256([]byte(m.MessageBody))
	return hex.EncodeToString(sum[:])
}

// once says which messages are the same as one; they are told its id. No id has a byte 0 in it.
func (r rules) once(group string, p *properties) *broker.Once {
	o := &broker.Once{Note: p.id}
	if !r.groups {
		group = ""
	}
	sum := sha256.Sum256([]byte(group + "\x00" + p.dedup))
	copy(o.Key[:], sum[:])
	return o
}

// firstSequence makes sequence numbers as long as those of SQS.
const firstSequence = 10_000_000_000_000_000_000

// sequenceNumber tells the order of the messages of a queue. One that is not in it yet has none.
func sequenceNumber(at broker.Offset) string {
	if at < 0 {
		return ""
	}
	return strconv.FormatUint(firstSequence+uint64(at), 10)
}
