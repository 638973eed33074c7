// Package storage is the log engine: durable logs, a small keyed state and
// sets of offsets, changed together by atomic batches.
//
// # Ideas
//
// One journal. Every change of every log, key and set is an operation in a
// frame of one shared journal, so that a thousand small logs cost one sync and
// not a thousand. Segments, a log's own files, are written later, without a
// sync of their own.
//
// A commit is a batch. Submit gives out all offsets under one lock, queues the
// batch for one frame and returns. What was submitted together survives a
// crash together: fan-out to ten logs, a dead letter with its discard, an
// append with the key that indexes it.
//
// A confirm is a number. Submit returns the frame's sequence; Durable() >= seq
// means that it is on the device. Readers, keys and sets show only what is
// durable: nobody sees what a power cut could take back. There is no rollback:
// a failed write or sync poisons the store.
//
// # A batch
//
//	var b storage.Batch
//	orders := s.NewLog(&b, storage.LogOptions{})
//	b.Append(orders, storage.Entry{Count: 1, Time: now, Bytes: order})
//	b.Put([]byte("orders"), id)
//	seq, err := s.Submit(&b)
//	...
//	err = s.Await(ctx, seq)
//
// # Caveats
//
// Keys are all in memory. Entries are opaque here, and whole: what a log can
// find inside them is up to the caller. A store belongs to one process; see
// docs/format.md for the bytes and for what a crash can leave.
package storage
