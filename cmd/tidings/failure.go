package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tidings-io/tidings/console"
)

// Exit codes. They are part of the interface: docs/cli.md.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnreachable = 5
	exitUnmet       = 6 // timeout, or an expectation that was not met
	exitInterrupted = 130
)

// failure is an error as it is told to a person: what, why, what now.
type failure struct {
	exit  int
	code  string // for programs
	msg   string
	hints []hint
}

// hint is one thing to do now.
type hint struct{ label, text string }

func (f *failure) Error() string { return f.msg }

// hint adds a line to the failure.
func (f *failure) hint(label, text string) *failure {
	f.hints = append(f.hints, hint{label, text})
	return f
}

func usage(msg string) *failure {
	return &failure{exit: exitUsage, code: "usage", msg: msg}
}

// invalid is wrong usage that only a server can tell.
func invalid(format string, args ...any) *failure {
	return &failure{exit: exitUsage, code: "invalid", msg: fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) *failure {
	return &failure{exit: exitFailed, code: "failed", msg: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *failure {
	return &failure{exit: exitConflict, code: "conflict", msg: fmt.Sprintf(format, args...)}
}

func notFound(what, name string) *failure {
	return &failure{exit: exitNotFound, code: "not_found",
		msg: "no " + what + " named " + quote(name)}
}

func unreachable(what, addr string, why error) *failure {
	return &failure{exit: exitUnreachable, code: "unreachable",
		msg: fmt.Sprintf("cannot reach %s at %s: %s", what, addr, rootCause(why))}
}

// rootCause is the innermost sentence of a network error: "connection refused".
func rootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// asFailure gives any error its exit code.
func asFailure(ctx context.Context, err error) *failure {
	var f *failure
	switch {
	case ctx.Err() != nil && !errors.As(err, &f):
		return &failure{exit: exitInterrupted, code: "interrupted", msg: "interrupted"}
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{exit: exitUnmet, code: "timeout", msg: "no answer in time"}
	}
	return failed("%s", err)
}

// printFailure writes an error and its hints, aligned, or one JSON document.
func (a *app) printFailure(f *failure, asJSON bool) {
	if asJSON {
		printFailureJSON(a.errOut, f)
		return
	}
	fmt.Fprintf(a.errOut, "%s %s\n", a.term.err.paint(red, "error:"), f.msg)
	width := hintWidth
	for _, h := range f.hints {
		width = max(width, len(h.title()))
	}
	for _, h := range f.hints {
		fmt.Fprintf(a.errOut, "  %-*s %s\n", width, h.title(), h.text)
	}
}

// hintWidth is how much room the labels of hints have at least: with one width
// for all errors, eyes find the text at the same place.
const hintWidth = 13

// didYouMean is a label that is the start of a question.
const didYouMean = "did you mean"

func (h hint) title() string {
	if h.label == didYouMean {
		return h.label
	}
	return h.label + ":"
}

func printFailureJSON(w io.Writer, f *failure) {
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
	}
	var hints []string
	for _, h := range f.hints {
		hints = append(hints, h.title()+" "+h.text)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(map[string]problem{"error": {f.code, f.msg, strings.Join(hints, "; ")}})
}

func quote(s string) string { return strconv.Quote(s) }

// notFoundNear also names what was probably meant.
func notFoundNear(what, name string, names []string) *failure {
	f := notFound(what, name)
	if near := console.Nearest(name, names); near != "" && near != name {
		f = f.hint(didYouMean, near+"?")
	}
	return f.hint("see all", "tidings ls "+what+"s")
}
