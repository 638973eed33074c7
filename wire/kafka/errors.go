package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings/broker"
)

// code is an error code of the Kafka protocol.
type code = int16

// The codes this face sends, by their names in the protocol.
const (
	errUnknownServerError      code = -1
	errNone                    code = 0
	errOffsetOutOfRange        code = 1
	errCorruptMessage          code = 2
	errUnknownTopicOrPartition code = 3
	errRequestTimedOut         code = 7
	errBrokerNotAvailable      code = 8
	errMessageTooLarge         code = 10
	errOffsetMetadataTooLarge  code = 12
	errCoordinatorNotAvailable code = 15
	errInvalidTopic            code = 17
	errRecordListTooLarge      code = 18
	errNotEnoughReplicas       code = 19
	errInvalidRequiredAcks     code = 21
	errIllegalGeneration       code = 22
	errInconsistentProtocol    code = 23
	errInvalidGroupID          code = 24
	errUnknownMemberID         code = 25
	errInvalidSessionTimeout   code = 26
	errRebalanceInProgress     code = 27
	errTopicAuthorization      code = 29
	errInvalidTimestamp        code = 32
	errUnsupportedVersion      code = 35
	errTopicAlreadyExists      code = 36
	errInvalidPartitions       code = 37
	errInvalidReplication      code = 38
	errInvalidAssignment       code = 39
	errInvalidConfig           code = 40
	errInvalidRequest          code = 42
	errPolicyViolation         code = 44
	errOutOfOrderSequence      code = 45
	errInvalidProducerEpoch    code = 47
	errTransactionalID         code = 53
	errStorage                 code = 56
	errNonEmptyGroup           code = 68
	errGroupIDNotFound         code = 69
	errFetchSessionID          code = 70
	errFencedLeaderEpoch       code = 74
	errUnknownLeaderEpoch      code = 75
	errUnsupportedCompression  code = 76
	errMemberIDRequired        code = 79
	errGroupMaxSize            code = 81
	errFencedInstanceID        code = 82
	errGroupSubscribed         code = 86
	errInvalidRecord           code = 87
	errProducerFenced          code = 90
	errUnknownTopicID          code = 100
	errMismatchedEndpoint      code = 114
	errUnsupportedEndpoint     code = 115
)

// kindCodes maps what the engine can say to what Kafka clients understand. A handler that
// knows better for one request (a produce answers Fenced with INVALID_PRODUCER_EPOCH) says so
// where it does; this is the meaning everywhere else.
var kindCodes = map[broker.ErrorKind]code{
	broker.NotFound:    errUnknownTopicOrPartition,
	broker.Exists:      errTopicAlreadyExists,
	broker.Invalid:     errInvalidRequest,
	broker.TooLarge:    errMessageTooLarge,
	broker.Denied:      errTopicAuthorization,
	broker.Fenced:      errProducerFenced,
	broker.OutOfOrder:  errOutOfOrderSequence,
	broker.OutOfRange:  errOffsetOutOfRange,
	broker.Corrupt:     errCorruptMessage,
	broker.Conflict:    errInvalidRequest, // an expected version: no Kafka request carries one
	broker.Full:        errPolicyViolation,
	broker.Unsupported: errUnsupportedVersion,
	broker.Closed:      errBrokerNotAvailable,
	broker.Storage:     errStorage,
}

// codeOf returns the protocol's code for an error of the engine or a refusal, 0 for nil.
func codeOf(err error) code {
	if err == nil { // before refused, which is allocated where it is declared
		return errNone
	}
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return refused.code
	case errors.Is(err, context.DeadlineExceeded):
		return errRequestTimedOut
	}
	if c, ok := kindCodes[broker.KindOf(err)]; ok {
		return c
	}
	return errUnknownServerError
}

// refusal is a code and a sentence for the client, where this face itself says no.
type refusal struct {
	code code
	text string
}

func (r *refusal) Error() string { return r.text }

func refusef(c code, format string, args ...any) error {
	return &refusal{c, fmt.Sprintf(format, args...)}
}

// produceCode is codeOf for appends, where clients expect other codes for some kinds.
func produceCode(err error) code {
	switch broker.KindOf(err) {
	case broker.Fenced:
		// PRODUCER_FENCED is for transactions; INVALID_PRODUCER_EPOCH lets an idempotent
		// producer recover (KIP-588).
		return errInvalidProducerEpoch
	case broker.Invalid:
		if errors.Is(err, broker.ErrTimestamp) {
			return errInvalidTimestamp
		}
		return errInvalidRecord
	case broker.Unsupported:
		if errors.Is(err, broker.ErrCodec) {
			return errUnsupportedCompression
		}
		return errInvalidRecord // a control batch; transactions are refused before
	case broker.Full:
		// Retriable in every client, and says what is true: nothing was written.
		return errNotEnoughReplicas
	default:
		return codeOf(err)
	}
}

// sentence returns a message for the client, nil where there is nothing to say.
func sentence(err error) *string {
	if err == nil {
		return nil
	}
	return text(err.Error())
}

func text(s string) *string { return &s }
