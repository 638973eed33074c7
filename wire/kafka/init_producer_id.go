package kafka

// InitProducerId (key 22).
//
// Versions: 0 to 5.
//
// Behaviour: an idempotent producer gets an id that no producer had before, with epoch 0. One
// that brings its id and epoch, to recover from an error (KIP-360), gets a new id as well.
//
// Differences from Apache Kafka: transactions are not served. A transactional id is refused
// with TRANSACTIONAL_ID_AUTHORIZATION_FAILED, the one code that every client takes as final.

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *conn) initProducerID(r *request, q *kmsg.InitProducerIDRequest) reply {
	resp := q.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerEpoch = -1
	if q.TransactionalID != nil {
		resp.ErrorCode = errTransactionalID
		return r.answer(resp)
	}
	if (q.ProducerID == -1) != (q.ProducerEpoch == -1) {
		resp.ErrorCode = errInvalidRequest
		return r.answer(resp)
	}
	id, err := c.srv.broker.NewProducer(c.ctx)
	if err != nil {
		resp.ErrorCode = codeOf(err)
		return r.answer(resp)
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return r.answer(resp)
}
