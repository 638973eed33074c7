package aws

import (
	"errors"
	"fmt"
	"slices"

	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/tidings-io/tidings"
)

// errNoAnswer is for an entry of a batch that the answer does not mention.
var errNoAnswer = errors.New("aws: the answer does not say what became of it")

// entryError is what became of one entry of a batch.
type entryError struct {
	code, message string
	sender        bool // ours is the fault
}

func (e *entryError) Error() string { return fmt.Sprintf("aws: %s: %s", e.code, e.message) }

// isGone says whether the topic or queue is not there.
func isGone(err error) bool {
	if _, ok := errors.AsType[*sqstypes.QueueDoesNotExist](err); ok {
		return true
	}
	_, ok := errors.AsType[*snstypes.NotFoundException](err)
	return ok
}

// lostCodes are what SQS says of a receipt whose time is over, with the prefix of the query
// protocol and without.
var lostCodes = []string{
	"MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight",
	"ReceiptHandleIsInvalid",
	"InvalidParameterValue", "InvalidParameterValueException", // of FIFO queues: it has expired
}

// settled makes tidings.ErrLost of what means it.
func settled(err error) error {
	code := ""
	if entry, ok := errors.AsType[*entryError](err); ok {
		code = entry.code
	} else if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	if slices.Contains(lostCodes, code) {
		return fmt.Errorf("%w: %w", tidings.ErrLost, err)
	}
	return err
}

// passes says whether an error may be another one, or none, a little later.
func passes(err error) bool {
	if errors.Is(err, tidings.ErrLost) {
		return false
	}
	if entry, ok := errors.AsType[*entryError](err); ok {
		return !entry.sender
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorFault() != smithy.FaultClient
	}
	return true
}
