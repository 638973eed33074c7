package aws

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxMessage is how large a message, and a whole batch, can be: 1 MiB of body and of the names, types and
// values of attributes.
const maxMessage = 1 << 20

// message is one to send, as it stands in a request and in an entry of a batch.
type message struct {
	MessageBody             string
	DelaySeconds            *int32
	MessageAttributes       map[string]messageAttribute `query:"MessageAttribute"`
	MessageSystemAttributes map[string]messageAttribute `query:"MessageSystemAttribute"`
	MessageDeduplicationId  *string
	MessageGroupId          *string
}

// size is what counts against the limits, in bytes.
func (m *message) size() int {
	n := len(m.MessageBody)
	for name, a := range m.MessageAttributes {
		n += len(name) + len(a.DataType) + len(a.text()) + len(a.BinaryValue)
	}
	return n
}

// check refuses a message that is not one of SQS, or not for a queue with these rules, but for its size.
func (m *message) check(r rules) *Error {
	if m.MessageBody == "" {
		return missing("MessageBody")
	}
	if !allowedText(m.MessageBody) {
		return errorf(invalidContents, "Invalid characters found. Valid unicode characters are "+
			"#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	}
	if d := m.DelaySeconds; d != nil && (*d < 0 || *d > 900) {
		return wrong(*d, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
	}
	if err := m.checkIDs(r); err != nil {
		return err
	}
	return m.checkAttributes()
}

// groupID is the form of ids that clients give, also for deduplication: alphanumeric characters and punctuation.
var groupID = regexp.MustCompile("^[!-~]{1,128}$")

// allowedText says whether all characters are such as XML 1.0 has.
func allowedText(s string) bool {
	plain := 0
	for plain < len(s) && s[plain] >= ' ' && s[plain] < utf8.RuneSelf {
		plain++
	}
	s = s[plain:]
	for i, r := range s {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
		case r < ' ' || r == 0xFFFE || r == 0xFFFF:
			return false
		case r == '\uFFFD' && !strings.HasPrefix(s[i:], "\uFFFD"):
			return false // not valid UTF-8
		}
	}
	return true
}

// maxAttributes is how many a message can have.
const maxAttributes = 10

func (m *message) checkAttributes() *Error {
	if n := len(m.MessageAttributes); n > maxAttributes {
		return errorf(invalidParameter, "Number of message attributes [%d] exceeds the allowed maximum [%d].",
			n, maxAttributes)
	}
	for name, a := range m.MessageAttributes {
		if err := checkAttributeName(name); err != nil {
			return err
		}
		if err := a.check(name); err != nil {
			return err
		}
	}
	for name, a := range m.MessageSystemAttributes {
		if name != sysTrace {
			return errorf(invalidParameter, "Message system attribute name '%s' is invalid.", short(name))
		}
		if a.DataType != "String" || a.text() == "" {
			return errorf(invalidParameter, "Message system attribute '%s' must contain a non-empty value "+
				"of type 'String'.", name)
		}
		if !isTrace(a.text()) {
			return errorf(invalidParameter, "Message system attribute '%s' must have at most %d bytes of valid "+
				"characters.", name, maxTrace)
		}
	}
	return nil
}

// maxTrace is how many bytes a trace header can have: it does not count as part of its message.
const maxTrace = 1024

func isTrace(s string) bool { return len(s) <= maxTrace && allowedText(s) }

// attributeName has letters and digits of any script, as SQS in fact has it.
var attributeName = regexp.MustCompile(`^[\pL\pN_.-]{1,256}$`)

func checkAttributeName(name string) *Error {
	lower := strings.ToLower(name)
	switch {
	case !attributeName.MatchString(name), len(name) > 256, strings.HasPrefix(name, "."), strings.HasSuffix(name, "."),
		strings.Contains(name, ".."):
		return errorf(invalidParameter, "The message attribute name '%s' is invalid. Attribute name can "+
			"contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.) characters.", short(name))
	case strings.HasPrefix(lower, "aws."), strings.HasPrefix(lower, "amazon."):
		return errorf(invalidParameter, "You can't use message attribute names beginning with 'AWS.' or "+
			"'Amazon.'. These strings are reserved for internal use. Additionally, they cannot start with numbers.")
	}
	return nil
}

// kind is the type without what a sender adds to it: "Number" of "Number.int".
func (a *messageAttribute) kind() string {
	kind, _, _ := strings.Cut(a.DataType, ".")
	return kind
}

func (a *messageAttribute) binary() bool { return a.kind() == "Binary" }

func (a *messageAttribute) check(name string) *Error {
	kind := a.kind()
	switch {
	case a.DataType == "":
		return errorf(invalidParameter, "The message attribute '%s' must contain non-empty message "+
			"attribute type.", name)
	case kind != "String" && kind != "Number" && kind != "Binary" || len(a.DataType) > 256:
		return errorf(invalidParameter, "The message attribute '%s' has an invalid message attribute type, "+
			"the set of supported type prefixes is Binary, Number, and String.", name)
	case len(a.StringListValues) > 0 || len(a.BinaryListValues) > 0:
		return errorf(unsupported, "Message attribute list values in SendMessage operation are not supported.")
	case a.binary() && len(a.BinaryValue) == 0, !a.binary() && a.text() == "":
		return errorf(invalidParameter, "Message (user) attribute '%s' must contain a non-empty value of "+
			"type '%s'.", name, a.valueType())
	case a.binary() && a.StringValue != nil, !a.binary() && a.BinaryValue != nil:
		return errorf(invalidParameter, "Message (user) attribute '%s' has conflicting field specified. "+
			"Choose one: %s.", name, a.valueType())
	case !allowedText(a.text()):
		return errorf(invalidParameter, "Message (user) attribute '%s' contains invalid characters.", name)
	}
	if kind == "Number" && !isNumber(a.text()) {
		return errorf(invalidParameter, "Can't cast the value of message (user) attribute '%s' to "+
			"a number.", name)
	}
	return nil
}

// number is what an attribute of type Number can be.
var number = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64) // it may be too large
	return err == nil && number.MatchString(text)
}

func (a *messageAttribute) valueType() string {
	if a.binary() {
		return "Binary"
	}
	return "String"
}
