package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"github.com/tidings-io/tidings/broker"
)

// problem is an error with its HTTP status.
type problem struct {
	Problem
	status int
}

func (p *problem) Error() string { return p.Message }

// kinds maps every kind of broker error to an HTTP status and a code. A test
// fails when a kind is missing.
var kinds = map[broker.ErrorKind]struct {
	status int
	code   string
}{
	broker.NotFound:    {http.StatusNotFound, "not_found"},
	broker.Exists:      {http.StatusConflict, "exists"},
	broker.Invalid:     {http.StatusBadRequest, "invalid"},
	broker.TooLarge:    {http.StatusRequestEntityTooLarge, "too_large"},
	broker.Denied:      {http.StatusForbidden, "denied"},
	broker.Fenced:      {http.StatusConflict, "fenced"},
	broker.OutOfOrder:  {http.StatusConflict, "out_of_order"},
	broker.OutOfRange:  {http.StatusRequestedRangeNotSatisfiable, "out_of_range"},
	broker.Corrupt:     {http.StatusInternalServerError, "corrupt"},
	broker.Conflict:    {http.StatusConflict, "conflict"},
	broker.Full:        {http.StatusInsufficientStorage, "full"},
	broker.Unsupported: {http.StatusNotImplemented, "unsupported"},
	broker.Closed:      {http.StatusServiceUnavailable, "closed"},
	broker.Storage:     {http.StatusServiceUnavailable, "storage"},
}

// asProblem turns any error into what a client is told.
func asProblem(err error) problem {
	var p *problem
	if errors.As(err, &p) {
		told := *p
		told.Message = err.Error() // with what was wrapped around it
		return told
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problem{status: http.StatusRequestEntityTooLarge, Problem: Problem{
			Code:    "too_large",
			Message: fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit),
		}}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem{status: http.StatusRequestTimeout,
			Problem: Problem{Code: "timeout", Message: "the request did not arrive in time"}}
	}
	if k, ok := kinds[broker.KindOf(err)]; ok {
		return problem{status: k.status, Problem: Problem{Code: k.code, Message: err.Error()}}
	}
	return problem{status: http.StatusInternalServerError,
		Problem: Problem{Code: "internal", Message: err.Error()}}
}

func writeProblem(w http.ResponseWriter, p problem) {
	writeJSON(w, p.status, ErrorDocument{Error: p.Problem})
}

func writeJSON(w http.ResponseWriter, status int, doc any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(doc) // an error here means that the client has gone
}

func invalid(format string, args ...any) error {
	return &problem{status: http.StatusBadRequest,
		Problem: Problem{Code: "invalid", Message: fmt.Sprintf(format, args...)}}
}

func notFound(what, name, hint string) error {
	return &problem{status: http.StatusNotFound, Problem: Problem{
		Code: "not_found", Message: "no " + what + " named " + quote(name), Hint: hint}}
}

func quote(s string) string { return strconv.Quote(s) }
