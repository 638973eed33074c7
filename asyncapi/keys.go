package asyncapi

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/tidings-io/tidings"
)

// keys are the keys of a map of the specification, each of one thing: two that would have the same one,
// since a key has fewer characters than a name, are told apart by a number.
type keys struct {
	of    map[any]string
	taken map[string]bool
}

func newKeys() keys { return keys{of: map[any]string{}, taken: map[string]bool{}} }

// key is that of a thing, made of a text where it is new.
func (k keys) key(thing any, text string) (key string, known bool) {
	if key, known = k.of[thing]; known {
		return key, true
	}
	key = name(text)
	for n := 2; k.taken[key]; n++ {
		key = fmt.Sprintf("%s-%d", name(text), n)
	}
	k.of[thing], k.taken[key] = key, true
	return key, false
}

// The things that have keys.
type (
	channelOf struct {
		kind    tidings.Kind
		address string
	}
	messageOf struct {
		name, contentType string
		data              reflect.Type
	}
	receiveOf struct{ group, channel, typ string }
	sendOf    struct{ channel, message string }
)

// name is text as a key of a map of the specification: letters, digits, '.', '_' and '-'.
func name(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, text)
}
