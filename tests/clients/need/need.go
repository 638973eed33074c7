// Package need is what a test does without a program that it wants and the machine does not have:
// it is skipped, unless the flag -need has the name of the program. Then it fails:
//
//	go test ./... -need kcat,kafka,postgres
package need

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

var names = flag.String("need", "", "programs that must be there, or the tests fail: kcat,kafka,postgres")

// Named reports whether -need has the name. Flags must be parsed.
func Named(name string) bool { return slices.Contains(strings.Split(*names, ","), name) }

// Without ends a test that cannot do without the program: as a failure if -need names it, else as
// skipped. The reason says why it is not there, and how it gets there.
func Without(t testing.TB, name, reason string) {
	t.Helper()
	if Named(name) {
		t.Fatalf("%s is not there: %s", name, reason)
	}
	t.Skipf("%s is not there: %s", name, reason)
}
