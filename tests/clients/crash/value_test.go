package crash

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"strconv"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/history"
)

// producers are the names that a value may carry.
var producers = []string{"kgo-none", "kgo-lz4", "kgo-zstd", "sarama-once", "sarama-plain"}

// makeValue is the value of a record: who sent it where, and a filling of 0 to 1000 bytes
// that follows from that, so that a reader can check each byte.
func makeValue(at history.Partition, id history.ID) []byte {
	head := fmt.Sprintf("%s|%v|%d|", id.Producer, at, id.N)
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(head))
	seed := hash.Sum32()
	value := append(make([]byte, 0, len(head)+int(seed%1000)), head...)
	for i := range seed % 1000 {
		value = append(value, byte('a'+(seed>>(i%24)+i)%26))
	}
	return value
}

// parseValue is the record that a value found at a place says it is.
func parseValue(at history.Partition, value []byte) (history.ID, error) {
	part := bytes.SplitN(value, []byte("|"), 4)
	if len(part) != 4 {
		return history.ID{}, fmt.Errorf("%.60q is no value of ours", value)
	}
	n, err := strconv.ParseInt(string(part[2]), 10, 64)
	if err != nil {
		return history.ID{}, fmt.Errorf("%.60q: %w", value, err)
	}
	for _, name := range producers {
		id := history.ID{Producer: name, N: n}
		if name == string(part[0]) && bytes.Equal(value, makeValue(at, id)) {
			return id, nil
		}
	}
	return history.ID{}, fmt.Errorf("%.60q... (%d bytes) is not what was sent", value, len(value))
}

func TestAValueSaysWhatItIs(t *testing.T) {
	at, id := history.Partition{Topic: "a", Number: 3}, history.ID{Producer: "kgo-lz4", N: 12345}
	value := makeValue(at, id)
	if got, err := parseValue(at, value); err != nil || got != id {
		t.Fatalf("got %v, %v, want %v", got, err, id)
	}
	for i := range value {
		spoiled := bytes.Clone(value)
		spoiled[i] ^= 1
		if got, err := parseValue(at, spoiled); err == nil {
			t.Fatalf("byte %d was changed: got %v, want an error", i, got)
		}
	}
	other := history.Partition{Topic: "a", Number: 4}
	if got, err := parseValue(other, value); err == nil {
		t.Fatalf("at another place: got %v, want an error", got)
	}
}
