// Package kafka is tidings.Transport on Apache Kafka, and on anything that speaks its protocol,
// Tidings among it.
//
// # What is where
//
// A topic is a topic of Kafka, a group a consumer group, and the address of group g the topic
// g.direct, which the group reads beside its topics: commands, replies, redriven dead letters and
// delayed retries go there. Topics that are missing are made with Config.Partitions and
// Config.ReplicationFactor; where that is not allowed, the error says so. A name that Kafka would
// not take is refused, and so is a topic of events that ends in ".direct".
//
// Records are CloudEvents in the binary mode of the Kafka protocol binding 1.0.2, with the key as
// the record's key and as attribute partitionkey; read are both modes. A record that is no
// CloudEvent is an event without a type, whose id is topic/partition/offset; one that is a
// malformed CloudEvent too, with extension "malformed" that says why.
//
// # What is promised
//
//   - Publish returns nil when all replicas in sync have every event (acks=all): that is their page
//     cache with Apache Kafka, and the disk with Tidings. Retries inside the producer make no
//     duplicates; publishing again after an error may.
//   - Events of one key go to one partition, by murmur2 as in Java clients, and are in the order in
//     which they were published; those without a key go to any.
//   - Delivery is at least once. A partition is one member's at a time, in its order.
//   - Commit tells the broker everything that was settled, in any order: the offset of a partition
//     is the one before which everything is, and what is settled behind it stands in the metadata
//     beside it. So after a crash only what was not settled comes again. The metadata has room for
//     1,000 to 3,000 deliveries in hand or not due in one partition; beyond that Commit waits for
//     the first of them, and a crash may bring back some that were settled.
//   - A group from the Latest begins where its topics ended when Declare or Subscribe returned.
//     Partitions that are added to a topic later are read from their start.
//   - Members come and go without a pause for handlers. What is in hand of a partition that goes to
//     another member is delivered there again; here it is ErrLost. What was settled of it is
//     committed before. A long handler loses nothing but when a member joins or leaves, or when the
//     group's broker cannot be reached for a few seconds. Commit waits while a group rebalances.
//   - Nack with a delay publishes a copy to the address, with the same id, before the original is
//     settled. The copy comes when it is due by the clock of the member that reads it. Until then it
//     waits in that member's memory, and others at the address pass it, up to Config.ReadAhead
//     copies: then the address is not read, commands included, until half of them are due. A copy
//     counts attempts; a first delivery does not know whether it is the first.
//   - Close leaves the group, and the next member has the partitions within its heartbeat, a
//     second. One that is killed is missed after the session timeout, 45 s.
//
// # What is not
//
//   - PublishAt a later time is ErrUnsupported.
//   - A delay is at most Config.MaxDelay, and an address must keep its records for twice that. So
//     a group that nobody runs for longer than that may lose retries, as it loses events of its
//     topics by their retention.
//   - A group that has no members for offsets.retention.minutes, seven days by default, is
//     forgotten by the broker: it begins again where Subscription.From says.
//   - A Temporary group is one reader of all partitions that its topics have when it subscribes.
//     Its address has one partition and is deleted by Close; a crash leaves the topic behind.
//   - Addresses are topics here. A program with a Tidings inside of it has queues for addresses:
//     events cross between both, commands do not.
//   - What one broker sends ahead of Receive is bounded by 8 MiB, not by Subscription.Window.
//   - Retries that were delayed have a Lane of their own each, since they come out of the order of
//     their partition.
package kafka
