package aws

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tidings-io/tidings/broker"
)

// Error is what a client is told when something went wrong.
type Error struct {
	Code    string // the name of its shape, which SDKs make a type of: "QueueDoesNotExist"
	Message string
}

// Error reads "QueueDoesNotExist: The specified queue does not exist."
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// The codes of errors: names of shapes.
const (
	queueDoesNotExist  = "QueueDoesNotExist"
	queueNameExists    = "QueueNameExists"
	receiptInvalid     = "ReceiptHandleIsInvalid"
	notInflight        = "MessageNotInflight"
	invalidContents    = "InvalidMessageContents"
	invalidAttribute   = "InvalidAttributeName"
	invalidValue       = "InvalidAttributeValue"
	invalidAddress     = "InvalidAddress"
	invalidEntryID     = "InvalidBatchEntryId"
	emptyBatch         = "EmptyBatchRequest"
	tooManyEntries     = "TooManyEntriesInBatchRequest"
	idsNotDistinct     = "BatchEntryIdsNotDistinct"
	batchTooLong       = "BatchRequestTooLong"
	overLimit          = "OverLimit"
	throttled          = "RequestThrottled"
	unsupported        = "UnsupportedOperation"
	noResource         = "ResourceNotFoundException"
	invalidParameter   = "InvalidParameterValueException"
	missingParameter   = "MissingRequiredParameterException"
	invalidAction      = "InvalidAction"
	serialization      = "SerializationException"
	accessDenied       = "AccessDeniedException"
	tooLargeRequest    = "RequestEntityTooLarge"
	internal           = "InternalError"
	unavailable        = "ServiceUnavailable"
	signatureWrong     = "SignatureDoesNotMatch"
	signatureMissing   = "MissingAuthenticationToken"
	signatureMalformed = "IncompleteSignature"
	keyUnknown         = "InvalidClientTokenId"
	requestExpired     = "RequestExpired"
)

// identity is what else is told of an error: the query protocol's code, which x-amzn-query-error tells
// users of JSON too, and the status.
type identity struct {
	query  string
	status int
	// declared says that the shape is one of the service's model; others are of all services.
	declared bool
}

const sqsCode = "AWS.SimpleQueueService."

// identities has every code that is ever answered.
var identities = map[string]identity{
	queueDoesNotExist: {sqsCode + "NonExistentQueue", 400, true},
	queueNameExists:   {"QueueAlreadyExists", 400, true},
	receiptInvalid:    {receiptInvalid, 404, true},
	notInflight:       {sqsCode + notInflight, 400, true},
	invalidContents:   {invalidContents, 400, true},
	invalidAttribute:  {invalidAttribute, 400, true},
	invalidValue:      {invalidValue, 400, true},
	invalidAddress:    {invalidAddress, 404, true},
	invalidEntryID:    {sqsCode + invalidEntryID, 400, true},
	emptyBatch:        {sqsCode + emptyBatch, 400, true},
	tooManyEntries:    {sqsCode + tooManyEntries, 400, true},
	idsNotDistinct:    {sqsCode + idsNotDistinct, 400, true},
	batchTooLong:      {sqsCode + batchTooLong, 400, true},
	overLimit:         {overLimit, 403, true},
	throttled:         {throttled, 403, true},
	unsupported:       {sqsCode + unsupported, 400, true},
	noResource:        {noResource, 404, true},

	invalidParameter:   {"InvalidParameterValue", 400, false},
	missingParameter:   {"MissingParameter", 400, false},
	invalidAction:      {invalidAction, 400, false},
	serialization:      {"MalformedInput", 400, false},
	accessDenied:       {"AccessDenied", 403, false},
	tooLargeRequest:    {tooLargeRequest, 413, false},
	internal:           {internal, 500, false},
	unavailable:        {unavailable, 503, false},
	signatureWrong:     {signatureWrong, 403, false},
	signatureMissing:   {signatureMissing, 403, false},
	signatureMalformed: {signatureMalformed, 400, false},
	keyUnknown:         {keyUnknown, 403, false},
	requestExpired:     {requestExpired, 400, false},
}

func (e *Error) identity() identity {
	if id, ok := identities[e.Code]; ok {
		return id
	}
	return identities[internal]
}

// fault says whose it is, in the words of both protocols.
func (i identity) fault() string {
	if i.status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// kindCodes says with which code each kind of error of the broker is answered where no action has a
// better word for it. Throttled is what SDKs try again by themselves: a disk that is full may not stay so.
var kindCodes = map[broker.ErrorKind]string{
	broker.NotFound:    queueDoesNotExist,
	broker.Exists:      queueNameExists,
	broker.Invalid:     invalidParameter,
	broker.TooLarge:    invalidParameter,
	broker.Denied:      accessDenied,
	broker.Fenced:      internal,
	broker.OutOfOrder:  internal,
	broker.OutOfRange:  internal,
	broker.Corrupt:     internal,
	broker.Conflict:    internal,
	broker.Full:        throttled,
	broker.Unsupported: unsupported,
	broker.Closed:      unavailable,
	broker.Storage:     internal,
}

// asError turns any error into one of the protocol. What is not a client's fault is told without detail:
// that goes to the operator's log.
func asError(err error) *Error { return errorBy(kindCodes, err) }

// errorBy turns an error into one of a service, which has its own codes for kinds.
func errorBy(kinds map[broker.ErrorKind]string, err error) *Error {
	var ours *Error
	if errors.As(err, &ours) {
		return ours
	}
	switch code := kinds[broker.KindOf(err)]; code {
	case "", internal:
		return &Error{internal, "We encountered an internal error. Please try again."}
	case queueDoesNotExist:
		return noQueue()
	case snsNotFound:
		return noTopic()
	default:
		return &Error{code, err.Error()}
	}
}

func noQueue() *Error {
	return &Error{queueDoesNotExist, "The specified queue does not exist."}
}

func missing(parameter string) *Error {
	return errorf(missingParameter, "The request must contain the parameter %s.", parameter)
}

// wrong is AWS's text for a parameter whose value does not do.
func wrong(value any, parameter, reason string) *Error {
	return errorf(invalidParameter, "Value %v for parameter %s is invalid. Reason: %s", value, parameter, reason)
}
