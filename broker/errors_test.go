package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/tidings-io/tidings/storage"
)

func TestErrorsSayWhatWentWrong(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&Error{Kind: Exists, Op: "create topic", Name: "orders"}, "create topic orders: already exists"},
		{&Error{Kind: NotFound, Op: "read"}, "read: not found"},
		{fail(Corrupt, "append", "a/0", "crc %d", 7), "append a/0: crc 7"},
		{&VersionConflict{"s", 3, 5}, `stream "s": expected version 3, it is at version 5`},
		{&VersionConflict{"s", NoStream, 5}, `stream "s": expected no stream, it is at version 5`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestKindsAreAskedForWithIs(t *testing.T) {
	err := fmt.Errorf("around: %w", &Error{Kind: Full, Op: "x", Err: io.EOF})
	if !errors.Is(err, Full) || errors.Is(err, NotFound) || !errors.Is(err, io.EOF) {
		t.Errorf("%v is Full and io.EOF, and nothing else", err)
	}
	if KindOf(err) != Full || KindOf(nil) != 0 || KindOf(io.EOF) != 0 {
		t.Errorf("kinds %v %v %v, want Full, 0, 0", KindOf(err), KindOf(nil), KindOf(io.EOF))
	}
}

func TestKindsListsEveryKindOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d is called %q", k, k)
		}
		seen[k.String()] = true
	}
	if len(seen) != int(Storage) || ErrorKind(99).String() != "kind 99" {
		t.Errorf("%d kinds, want %d", len(seen), Storage)
	}
}

func TestStoreErrorsGetKinds(t *testing.T) {
	for _, c := range []struct {
		err  error
		want ErrorKind
	}{
		{storage.ErrPoisoned, Storage}, {storage.ErrFull, Full}, {storage.ErrOutOfRange, OutOfRange},
		{storage.ErrDropped, NotFound}, {storage.ErrTooLarge, TooLarge}, {storage.ErrClosed, Closed},
		{storage.ErrFormat, Unsupported}, {storage.ErrDamaged, Corrupt},
		{&storage.Damage{Why: "crc"}, Corrupt}, {io.ErrUnexpectedEOF, Storage},
		{context.Canceled, 0}, {context.DeadlineExceeded, 0},
	} {
		err := storeError("op", "name", fmt.Errorf("detail: %w", c.err))
		if KindOf(err) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v: kind %v, want %v", err, KindOf(err), c.want)
		}
	}
	if storeError("op", "", nil) != nil {
		t.Error("nil became an error")
	}
}
