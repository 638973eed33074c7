package amqp

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// An Error is a protocol exception: why a channel or a connection is closed.
type Error struct {
	Code          uint16 // reply code, section 1.1 of the specification
	Text          string // what went wrong, without the name of the code
	Class, Method uint16 // the method that caused it, or zeros
}

// Reply codes. The soft ones close a channel, all others the connection.
const (
	replySuccess            uint16 = 200
	replyContentTooLarge    uint16 = 311 // soft
	replyNoRoute            uint16 = 312 // soft
	replyNoConsumers        uint16 = 313 // soft
	replyConnectionForced   uint16 = 320
	replyInvalidPath        uint16 = 402
	replyAccessRefused      uint16 = 403 // soft
	replyNotFound           uint16 = 404 // soft
	replyResourceLocked     uint16 = 405 // soft
	replyPreconditionFailed uint16 = 406 // soft
	replyFrameError         uint16 = 501
	replySyntaxError        uint16 = 502
	replyCommandInvalid     uint16 = 503
	replyChannelError       uint16 = 504
	replyUnexpectedFrame    uint16 = 505
	replyResourceError      uint16 = 506
	replyNotAllowed         uint16 = 530
	replyNotImplemented     uint16 = 540
	replyInternalError      uint16 = 541
)

var replyNames = map[uint16]string{
	replySuccess:            "SUCCESS",
	replyContentTooLarge:    "CONTENT_TOO_LARGE",
	replyNoRoute:            "NO_ROUTE",
	replyNoConsumers:        "NO_CONSUMERS",
	replyConnectionForced:   "CONNECTION_FORCED",
	replyInvalidPath:        "INVALID_PATH",
	replyAccessRefused:      "ACCESS_REFUSED",
	replyNotFound:           "NOT_FOUND",
	replyResourceLocked:     "RESOURCE_LOCKED",
	replyPreconditionFailed: "PRECONDITION_FAILED",
	replyFrameError:         "FRAME_ERROR",
	replySyntaxError:        "SYNTAX_ERROR",
	replyCommandInvalid:     "COMMAND_INVALID",
	replyChannelError:       "CHANNEL_ERROR",
	replyUnexpectedFrame:    "UNEXPECTED_FRAME",
	replyResourceError:      "RESOURCE_ERROR",
	replyNotAllowed:         "NOT_ALLOWED",
	replyNotImplemented:     "NOT_IMPLEMENTED",
	replyInternalError:      "INTERNAL_ERROR",
}

func errorf(code uint16, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	return fmt.Sprintf("amqp %d %s", e.Code, e.replyText())
}

// Hard says that the error closes the connection and not only a channel. An error on channel 0
// closes the connection whatever its code: there is nothing smaller to close.
func (e *Error) Hard() bool {
	switch e.Code {
	case replyContentTooLarge, replyNoRoute, replyNoConsumers, replyAccessRefused, replyNotFound,
		replyResourceLocked, replyPreconditionFailed:
		return false
	}
	return true
}

// replyText is what a close method says: the code's name and the text, as RabbitMQ joins them and
// client libraries match them.
func (e *Error) replyText() string {
	name := replyNames[e.Code]
	if name == "" || e.Text == "" {
		return name + e.Text
	}
	return name + " - " + e.Text
}

// causedBy names the method in which err was met.
func causedBy(id methodID, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	named.Class, named.Method = id.class, id.method
	return &named
}

// cutShort makes text fit a short string. What does not fit ends in three dots, and no rune is
// cut in half: clients refuse what is not UTF-8.
func cutShort(text string) string {
	if len(text) <= maxShortString {
		return text
	}
	const dots = "..."
	end := maxShortString - len(dots)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + dots
}
