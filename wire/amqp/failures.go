package amqp

import (
	"errors"

	"github.com/tidings-io/tidings/broker"
)

// kindCodes says with which code each kind of error of the broker is answered where no method has
// a better word for it. What is not a client's fault ends the connection.
var kindCodes = map[broker.ErrorKind]uint16{
	broker.NotFound:    replyNotFound,
	broker.Exists:      replyPreconditionFailed,
	broker.Invalid:     replyPreconditionFailed,
	broker.TooLarge:    replyPreconditionFailed,
	broker.Denied:      replyAccessRefused,
	broker.Fenced:      replyPreconditionFailed,
	broker.OutOfOrder:  replyPreconditionFailed,
	broker.OutOfRange:  replyPreconditionFailed,
	broker.Corrupt:     replyInternalError,
	broker.Conflict:    replyPreconditionFailed,
	broker.Full:        replyPreconditionFailed,
	broker.Unsupported: replyNotImplemented,
	broker.Closed:      replyConnectionForced,
	broker.Storage:     replyInternalError,
}

// failed turns an error of the broker into one of the protocol. Other errors stay: the connection
// ends with them, without a word.
func failed(err error) error {
	var ours *Error
	if err == nil || errors.As(err, &ours) {
		return err
	}
	if code, ok := kindCodes[broker.KindOf(err)]; ok {
		return errorf(code, "%v", err)
	}
	return err
}
