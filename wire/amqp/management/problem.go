package management

import (
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// problem is an error as RabbitMQ tells it: a status, a word, and why.
type problem struct {
	status       int
	word, reason string
}

func (p *problem) Error() string { return p.reason }

var (
	errNotFound = &problem{http.StatusNotFound, "Object Not Found", "Not Found"}
	errMethod   = &problem{http.StatusMethodNotAllowed, "method_not_allowed", "Method Not Allowed"}
)

// missing tells RabbitMQ's way that what was to be changed is not there.
func missing(err error) error {
	if errors.Is(err, broker.NotFound) {
		return errNotFound
	}
	return err
}

func badRequest(format string, args ...any) error {
	return &problem{http.StatusBadRequest, "bad_request", fmt.Sprintf(format, args...)}
}

func notBuilt(reason string) error {
	return &problem{http.StatusNotImplemented, "not_implemented", reason}
}

// replyStatus says how RabbitMQ's management plugin tells the reply codes of AMQP; all others are
// bad requests.
var replyStatus = map[uint16]struct {
	status int
	word   string
}{
	403: {http.StatusUnauthorized, "not_authorised"},
	404: {http.StatusNotFound, "not_found"},
	320: {http.StatusServiceUnavailable, "unavailable"}, // the broker is being closed
	540: {http.StatusNotImplemented, "not_implemented"},
	541: {http.StatusInternalServerError, "internal_error"},
}

// kindStatus is for errors of the broker that no method has turned into a reply code. A test
// fails where a kind is missing.
var kindStatus = map[broker.ErrorKind]int{
	broker.NotFound:    http.StatusNotFound,
	broker.Exists:      http.StatusBadRequest,
	broker.Invalid:     http.StatusBadRequest,
	broker.TooLarge:    http.StatusBadRequest,
	broker.Denied:      http.StatusUnauthorized,
	broker.Fenced:      http.StatusBadRequest,
	broker.OutOfOrder:  http.StatusBadRequest,
	broker.OutOfRange:  http.StatusBadRequest,
	broker.Corrupt:     http.StatusInternalServerError,
	broker.Conflict:    http.StatusBadRequest,
	broker.Full:        http.StatusServiceUnavailable,
	broker.Unsupported: http.StatusNotImplemented,
	broker.Closed:      http.StatusServiceUnavailable,
	broker.Storage:     http.StatusServiceUnavailable,
}

// asProblem turns any error into what a client is told.
func asProblem(err error) problem {
	var p *problem
	var reply *amqp.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return *p
	case errors.As(err, &reply):
		if r, ok := replyStatus[reply.Code]; ok {
			return problem{r.status, r.word, reply.Text}
		}
		return problem{http.StatusBadRequest, "bad_request", reply.Text}
	case errors.As(err, &tooLarge):
		return problem{http.StatusRequestEntityTooLarge, "bad_request",
			"Exceeded HTTP request body size limit"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem{http.StatusRequestTimeout, "timeout", "the request did not arrive in time"}
	}
	if status, ok := kindStatus[broker.KindOf(err)]; ok {
		return problem{status, broker.KindOf(err).String(), err.Error()}
	}
	return problem{http.StatusInternalServerError, "internal_error", err.Error()}
}
