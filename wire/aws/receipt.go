package aws

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"

	"github.com/tidings-io/tidings/broker"
)

// A receipt handle names one receive of one message of one queue:
//
//	log 8, offset 8, receive number 4, time of the receive 8 (ms), sum 16
//
// The sum is the first half of SHA-256 over the identity of the queue and what stands before. That identity
// survives a restart, and is another one once the queue was deleted and made again. So a handle of any other
// queue, and one that was made up, is told from one that was given out. It is no password: who may reach the
// queue may receive what is in it anyway. What is summed has one length, and half of the result is not told,
// so no HMAC is needed; and it is one block of SHA-256, where that takes four.
type receipt struct {
	id       broker.DeliveryID
	received int64
}

const (
	receiptBytes = 28
	receiptSize  = receiptBytes + 16
)

func (x receipt) handle(q *broker.Queue) string {
	b := make([]byte, 0, receiptSize)
	b = binary.BigEndian.AppendUint64(b, uint64(x.id.Log))
	b = binary.BigEndian.AppendUint64(b, uint64(x.id.Offset))
	b = binary.BigEndian.AppendUint32(b, x.id.Receive)
	b = binary.BigEndian.AppendUint64(b, uint64(x.received))
	return base64.RawURLEncoding.EncodeToString(append(b, receiptSum(q, b)...))
}

func receiptSum(q *broker.Queue, b []byte) []byte {
	var in [len("receipt ") + 16 + receiptBytes]byte
	id := q.ID()
	sum := sha256.Sum256(append(append(append(in[:0], "receipt "...), id[:]...), b...))
	return sum[:receiptSize-receiptBytes]
}

func parseReceipt(q *broker.Queue, handle string) (x receipt, err *Error) {
	b, bad := base64.RawURLEncoding.DecodeString(handle)
	if bad != nil || len(b) != receiptSize ||
		subtle.ConstantTimeCompare(receiptSum(q, b[:receiptBytes]), b[receiptBytes:]) == 0 {
		return x, errorf(receiptInvalid, "The input receipt handle %q is not a valid receipt handle.",
			short(handle))
	}
	x.id.Log = broker.LogID(binary.BigEndian.Uint64(b))
	x.id.Offset = broker.Offset(binary.BigEndian.Uint64(b[8:]))
	x.id.Receive = binary.BigEndian.Uint32(b[16:])
	x.received = int64(binary.BigEndian.Uint64(b[20:]))
	return x, nil
}

// short is enough of a text to be recognized in an error.
func short(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}
