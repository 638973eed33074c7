package tidings

// Names of extension attributes that the library writes. Transports restore and strip the first
// two; the others are on dead letters. The group that ExtDeadGroup names takes them off, and handles
// the event as what it was, when the letter comes to its address. Where that was a dead letter too, of
// another group, its own wait meanwhile with one more "dlq" before their names.
const (
	// ExtOriginTopic is the topic of an event that travels through the address of a group: a
	// delayed retry, or one that is redriven. It is delivered as an event of that topic.
	ExtOriginTopic = "origintopic"
	// ExtAttempt is how often a delayed copy has been delivered before.
	ExtAttempt = "attempt"
	// ExtMalformed is why a transport could not read a record as an event. Services put such
	// events among the dead letters.
	ExtMalformed = "malformed"

	// deadPrefix begins the names of those on dead letters.
	deadPrefix = "dlq"
	// ExtDeadReason is the last error, cut to 1,000 bytes.
	ExtDeadReason = "dlqreason"
	// ExtDeadAttempts is how often the event was tried, as far as it was counted.
	ExtDeadAttempts = "dlqattempts"
	// ExtDeadAt is when it was put aside, RFC 3339.
	ExtDeadAt = "dlqat"
	// ExtDeadGroup is the group that could not handle it.
	ExtDeadGroup = "dlqgroup"
	// ExtDeadTopic is the topic that the event came from; a command to the group has none.
	ExtDeadTopic = "dlqtopic"
)

// CopyBytes is more than what the extensions of a copy take. A transport that bounds events bounds
// copies by so much more, so that there is a dead letter of whatever could be published, and a way
// back for it.
const CopyBytes = 4096

// IsCopy says whether e is a dead letter, or travels through the address of a group.
func (e *Event) IsCopy() bool {
	return e.Extensions[ExtDeadGroup] != "" || e.Extensions[ExtOriginTopic] != ""
}

// ForeignType is the type that a dead letter gets where the record had none.
const ForeignType = "tidings.foreign"

// DeadLetters is the group that takes the dead letters of a group unless its policy names another.
func DeadLetters(group string) string { return group + ".dlq" }
