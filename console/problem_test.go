package console

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

func TestEveryKindOfErrorHasACode(t *testing.T) {
	codes := map[string]broker.ErrorKind{}
	for _, kind := range broker.Kinds() {
		k, ok := kinds[kind]
		if !ok {
			t.Errorf("broker error kind %v has no status", kind)
			continue
		}
		if other, twice := codes[k.code]; twice {
			t.Errorf("kinds %v and %v share the code %q", other, kind, k.code)
		}
		codes[k.code] = kind
		got := asProblem(fmt.Errorf("ctx: %w", &broker.Error{Kind: kind, Err: errors.New("why")}))
		if got.status != k.status || got.Code != k.code {
			t.Errorf("kind %v: got %d %s, want %d %s", kind, got.status, got.Code, k.status, k.code)
		}
	}
}

func TestForeignErrorIsInternal(t *testing.T) {
	got := asProblem(errors.New("boom"))
	want := problem{status: http.StatusInternalServerError,
		Problem: Problem{Code: "internal", Message: "boom"}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestProblemKeepsWhatWasWrappedAroundIt(t *testing.T) {
	got := asProblem(fmt.Errorf("record 3: %w", invalid("no key")))
	if want := "record 3: no key"; got.Message != want || got.status != http.StatusBadRequest {
		t.Errorf("got %d %q, want 400 %q", got.status, got.Message, want)
	}
}
