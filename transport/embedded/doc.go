// Package embedded is a broker inside the program as a transport: package broker behind the
// interfaces of package tidings. Publishing and handling are function calls; what is acknowledged
// is on the disk of this machine.
//
//	b, err := broker.Open("./data", broker.Config{})
//	t := embedded.New(b, embedded.Config{})
//	defer b.Close()
//	defer t.Close(ctx)
//	err = t.Publish(ctx, orderPlaced.New(order))
//
// # What is what
//
// A topic is a topic of the broker, with partitions: events of one key are in one of them, chosen
// as Kafka's clients do, and events without a key in turn. A record is a CloudEvent in Kafka's
// binding, so that clients of Kafka on the same broker read it, and publish here too. A group is a
// group of the broker with a cursor in each partition, as any group of Kafka's is: its lag is in
// "tidings lag" and in the console.
//
// The address of a group is a queue of its name, ordered by key. Commands, replies, retries after a
// delay and what is redriven from dead letters go there. A record in it has the properties of
// AMQP 0-9-1, with attributes as headers "cloudEvents:<name>": clients of AMQP read it, and those
// of SQS as docs/crossing.md says. Records that others put into the queue are read in any of these
// ways.
//
// # What can be relied on
//
// Publish returns nil when every event is on disk, and all events of a call are one step: after a
// crash all are there or none.
//
// Each partition is one consumer's of the group. When consumers come or go a partition moves when
// nothing of it is in hand any more, and until then nothing new of it is delivered: what is in order
// for one is so for all of them. Events without
// a key, and those of a group's address, are not in the order of events with one.
//
// Ack settles an event in memory, and Commit waits until that is on disk: what was committed never
// comes back, also where an event before it is not settled yet, as long as what a group has in hand
// of a partition can be told in 4 KB, which are about 1,500 events. Without Commit the same happens
// within 100 ms or 10,000 events. Ack of what came by the address is submitted at once.
//
// A Nack without a delay delivers the event again from memory, as the next attempt. One with a
// delay takes an event of a topic out of its partition and into the group's address, in one step.
// Attempts of events of topics survive their consumer, and not the process: after a crash they
// begin at 1. Those of the address are counted on disk; one may be counted of what was received for
// a consumer that had no room for it after all.
//
// What comes by the address is leased, and comes again when the lease is over; Extend renews it.
// After a crash it comes again when its lease is over, and not before. An Ack ends it even then.
//
// CommitWith makes the end of an event one step with whatever else a transaction of the broker
// changes and, by Enlist, publishes: all of it happens once.
//
// Where retention takes events before a group has come to them, the group goes on with the first
// that is left; that is logged, and counted in Stats.
//
// # What is not here
//
// Deduplication by the id of an event, and groups over several processes: of clients of Kafka and
// this program only one may be members of a group. While a group has consumers its cursors are theirs: moving them from outside is overwritten.
// Where a listener for Kafka serves the broker, a group that has had no consumer for the listener's
// offsets.retention, 7 days, is forgotten, as Kafka does.
package embedded
