package aws

import (
	"errors"

	"github.com/tidings-io/tidings/broker"
)

// The codes of errors of SNS: names of shapes, but where SQS has the same one for something else.
const (
	snsInvalid        = "InvalidParameterException"
	snsValueInvalid   = "ParameterValueInvalid" // InvalidParameterValueException
	snsNotFound       = "NotFoundException"
	snsNoResource     = "ResourceNotFound" // ResourceNotFoundException
	snsDenied         = "AuthorizationErrorException"
	snsThrottled      = "ThrottledException"
	snsFilterLimit    = "FilterPolicyLimitExceededException"
	snsReplayLimit    = "ReplayLimitExceededException"
	snsInvalidState   = "InvalidStateException"
	snsTagLimit       = "TagLimitExceededException"
	snsValidation     = "ValidationException"
	snsEmptyBatch     = "EmptyBatchRequestException"
	snsTooManyEntries = "TooManyEntriesInBatchRequestException"
	snsIDsNotDistinct = "BatchEntryIdsNotDistinctException"
	snsBatchTooLong   = "BatchRequestTooLongException"
	snsInvalidEntryID = "InvalidBatchEntryIdException"
)

func init() {
	for code, id := range map[string]identity{
		snsInvalid:        {"InvalidParameter", 400, true},
		snsValueInvalid:   {"ParameterValueInvalid", 400, true},
		snsNotFound:       {"NotFound", 404, true},
		snsNoResource:     {"ResourceNotFound", 404, true},
		snsDenied:         {"AuthorizationError", 403, true},
		snsThrottled:      {"Throttled", 429, true},
		snsFilterLimit:    {"FilterPolicyLimitExceeded", 403, true},
		snsReplayLimit:    {"ReplayLimitExceeded", 403, true},
		snsInvalidState:   {"InvalidState", 400, true},
		snsTagLimit:       {"TagLimitExceeded", 400, true},
		snsValidation:     {"ValidationError", 400, true},
		snsEmptyBatch:     {"EmptyBatchRequest", 400, true},
		snsTooManyEntries: {"TooManyEntriesInBatchRequest", 400, true},
		snsIDsNotDistinct: {"BatchEntryIdsNotDistinct", 400, true},
		snsBatchTooLong:   {"BatchRequestTooLong", 400, true},
		snsInvalidEntryID: {"InvalidBatchEntryId", 400, true},
	} {
		identities[code] = id
	}
}

// snsKindCodes says with which code SNS answers each kind of error of the broker.
var snsKindCodes = map[broker.ErrorKind]string{
	broker.NotFound:    snsNotFound,
	broker.Exists:      snsInvalid,
	broker.Invalid:     snsInvalid,
	broker.TooLarge:    snsInvalid,
	broker.Denied:      snsDenied,
	broker.Fenced:      internal,
	broker.OutOfOrder:  internal,
	broker.OutOfRange:  internal,
	broker.Corrupt:     internal,
	broker.Conflict:    internal,
	broker.Full:        snsThrottled,
	broker.Unsupported: snsInvalid,
	broker.Closed:      unavailable,
	broker.Storage:     internal,
}

func noTopic() *Error { return &Error{snsNotFound, "Topic does not exist"} }

func noSubscription() *Error { return &Error{snsNotFound, "Subscription does not exist"} }

// badParameter is SNS's text for most that is wrong: what, and perhaps why.
func badParameter(format string, args ...any) *Error {
	return errorf(snsInvalid, "Invalid parameter: "+format, args...)
}

// inAttributes is a reason against one of several attributes, as SNS tells it. alone is that of one
// attribute.
func inAttributes(alone error) error {
	return inAttribute(alone, "Attributes Reason: ")
}

// inAttribute is what is wrong with the value of an attribute, if it is nothing worse.
func inAttribute(err error, before string) error {
	var whole *Error
	if err == nil || errors.As(err, &whole) {
		return err
	}
	return badParameter("%s%s", before, err)
}

func absent(parameter string) *Error {
	return badParameter("%s Reason: no value for required parameter", parameter)
}
