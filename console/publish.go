package console

import (
	"fmt"
	"net/http"

	"github.com/tidings-io/tidings/broker"
)

// batchBytes is how much key and value goes into one encoded batch, unless the
// topic takes less. Encoded batches stay well below Kafka's default limit.
const batchBytes = 512 << 10

// publish stores all records of a request as one atomic commit and answers
// when it is on disk.
func (s *Server) publish(r *http.Request) (any, error) {
	var doc Publish
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	if err := s.checkCount(len(doc.Records)); err != nil {
		return nil, err
	}
	t, err := s.ensureTopic(r.Context(), r.PathValue("topic"))
	if err != nil {
		return nil, err
	}
	batches, err := s.batches(t, doc.Records)
	if err != nil {
		return nil, err
	}
	places, err := s.commit(r, batches, len(doc.Records))
	if err != nil {
		return nil, err
	}
	return Published{Records: places}, nil
}

func (s *Server) checkCount(n int) error {
	switch limit := s.c.Limits.PublishRecords; {
	case n == 0:
		return invalid("no records")
	case n > limit:
		return &problem{status: http.StatusRequestEntityTooLarge, Problem: Problem{
			Code:    "too_large",
			Message: fmt.Sprintf("%d records in one request; the limit is %d", n, limit)}}
	}
	return nil
}

// batch is what one encoded batch will hold: records of one partition, and
// where they stood in the request.
type batch struct {
	part  *broker.Partition
	recs  []broker.Record
	index []int
	bytes int
}

// batches sorts a request's records by partition, in batches the topic accepts.
func (s *Server) batches(t *broker.Topic, docs []NewRecord) ([]*batch, error) {
	limit := batchBytes
	if max := t.Config().BatchBytes; max > 0 {
		limit = min(limit, max/2)
	}
	var all []*batch
	open := map[int]*batch{}
	keyless := s.turn.next(t.Partitions())
	for i, doc := range docs {
		rec, err := brokerRecord(doc, s.c.Now())
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		p, err := choosePartition(t, doc, keyless)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		size := len(rec.Key) + len(rec.Value)
		b := open[p]
		if b == nil || b.bytes+size > limit {
			b = &batch{part: t.Partition(p)}
			open[p] = b
			all = append(all, b)
		}
		b.recs, b.index, b.bytes = append(b.recs, rec), append(b.index, i), b.bytes+size
	}
	return all, nil
}

func choosePartition(t *broker.Topic, doc NewRecord, keyless int) (int, error) {
	if doc.Partition != nil {
		if p := *doc.Partition; p >= 0 && p < t.Partitions() {
			return p, nil
		}
		return 0, invalid("topic %s has no partition %d (it has %d, from 0)",
			t.Name().Name, *doc.Partition, t.Partitions())
	}
	if key := Bytes(doc.Key, doc.KeyBase64); key != nil {
		return broker.KeyPartition(key, t.Partitions()), nil
	}
	return keyless, nil
}

func (s *Server) commit(r *http.Request, batches []*batch, n int) ([]Place, error) {
	tx := s.b.Begin()
	results := make([]int, len(batches))
	for i, b := range batches {
		raw, err := broker.EncodeBatch(nil, broker.None, b.recs...)
		if err != nil {
			return nil, err
		}
		results[i] = tx.Append(b.part, raw)
	}
	confirm, err := tx.Commit(r.Context())
	if err != nil {
		return nil, err
	}
	if err := confirm.Wait(r.Context()); err != nil {
		return nil, err
	}
	return places(tx, batches, results, n), nil
}

func places(tx *broker.Tx, batches []*batch, results []int, n int) []Place {
	out := make([]Place, n)
	for i, b := range batches {
		base := tx.Result(results[i]).Base
		for j, at := range b.index {
			out[at] = Place{
				Topic:     b.part.Topic().Name().Name,
				Partition: b.part.Index(),
				Offset:    int64(base) + int64(j),
			}
		}
	}
	return out
}
