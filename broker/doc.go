// Package broker is the engine of Tidings: topics, partitions, consumer groups,
// event streams, exchanges and queues over one durable log store, without any protocol.
//
// A Broker lives in one data directory and needs no listener:
//
//	b, err := broker.Open("./data", broker.Config{})
//	t, err := b.CreateTopic(ctx, broker.TopicSpec{Name: "orders", Partitions: 3})
//	a, err := t.Partition(0).Write(ctx, broker.Record{Value: []byte("hello")})
//	err = a.Confirm.Wait(ctx) // the record is on disk
//
// Three ideas carry the package.
//
// Everything is a log, a cursor, and a few bounded structures beside them. A
// partition is a log of batches in Kafka's RecordBatch v2 layout, kept as they
// were received. A group's cursor is one number per partition. An event store
// ([Streams]) is a log with an index by stream. A [Queue] is a log with a cursor, a
// set of what was settled, and what was given back; it hands each record to one
// [Subscription], and an [Exchange] leads records to queues, at once or at a later time.
//
// A change is one atomic batch, and a confirm is one number. Append, Write and
// Tx.Commit check everything, hand one batch to the store and return without
// waiting for the disk. Their [Confirm] says when the change is durable; nobody
// may be told "yes" before. What records a reader sees ends at the durable end,
// so nobody reads what a power cut could take back. Catalog entries, cursors and
// group state are seen as soon as they are submitted: whatever is acknowledged on
// top of them is durable only after them, because the store keeps their order.
//
// Nothing is taken back. A failed write poisons the store: every confirm that
// waits fails, and so does every later change, with kind [Storage].
//
// # Errors
//
// Every error of this package is an [*Error] with one of the kinds of [Kinds];
// errors.Is(err, broker.NotFound) asks for one. The exception is a context that
// ended while a call waited: its error is wrapped, and KindOf answers 0.
//
// # Order of locks
//
// Catalog, partitions, event stores and queues (several: ascending log id), schedules, groups
// (several: by namespace and name), feed, store. No lock is held while waiting
// for disk, channel or callback.
//
// # Goroutines
//
// One retention loop, one loop that hands out what has become durable, one for
// timers and one for schedules per Broker and, where Config.Observer is set, one feed that
// tells the observer. Close ends all and waits for them.
//
// # What is not here
//
// Transactions of Kafka producers, control batches and compaction are refused with
// kind [Unsupported] or are not part of the interface.
package broker
