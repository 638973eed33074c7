package inbox

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidings-io/tidings"
)

// MaxName bounds groups, ids and lanes, in bytes.
const MaxName = 1024

// Check refuses groups and ids that not every database keeps as they are, for good. It is for those
// who write stores.
func Check(names ...string) error {
	for _, name := range names {
		if name == "" || len(name) > MaxName || !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 {
			return tidings.Permanent(fmt.Errorf("inbox: %.60q of %d bytes: a name is 1 to %d bytes of UTF-8 without byte 0",
				name, len(name), MaxName))
		}
	}
	return nil
}

// CheckPosition is Check for a lane, and refuses the offset of a delivery that has no position.
func CheckPosition(group, lane string, offset int64) error {
	if offset < 0 {
		return tidings.Permanent(fmt.Errorf("inbox: offset %d of lane %.60q: the delivery has no position", offset, lane))
	}
	return Check(group, lane)
}
