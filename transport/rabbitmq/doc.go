// Package rabbitmq is a tidings.Transport over AMQP 0-9-1, for RabbitMQ from 3.10 on and for
// Tidings.
//
//	t, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: "amqp://user:password@broker/"})
//	svc := tidings.NewService("billing", t)
//
// # What is what
//
// A topic is a durable exchange of type topic; the routing key of an event is its type. A group is
// a durable queue, bound to its topics by "#". The address of a group is its queue by way of the
// default exchange. A temporary group is an exclusive queue that its connection takes along. All of
// it is made at its first use. Events travel in binary mode of CloudEvents: attributes are headers
// that begin with "cloudEvents:", and the properties message-id, type, content-type, timestamp,
// correlation-id and reply-to repeat some of them. Binary mode with the prefixes "cloudEvents_",
// "ce-" and "ce_" is read too, and structured mode.
//
// Other messages are events with the payload, the content type, the properties and, as extensions,
// the headers that they have. Without a message-id their id is new with each delivery, so that an
// inbox cannot know them again: AMQP has nothing else that stays, and a hash of the content would
// take two equal messages for one. Have their sender set it.
//
// # What is promised
//
// Publish returns nil when the broker has confirmed each event, which is persistent: it is on the
// disk of Tidings, on those of a majority of a quorum queue's nodes, on that of a classic queue's
// node. (A quorum queue of RabbitMQ 3.10 that was declared less than 3 s before all of its nodes are
// killed is lost with what is in it, and confirms nothing from then on.) Events that nobody reads
// are confirmed and gone. Those that were not confirmed before their connection was lost end in a
// *tidings.PublishError; publishing them again may double them. A queue that confirms nothing keeps
// those waiting who publish to it, until their contexts end, and nobody else.
//
// Events of a queue are delivered in order, and at least once. What is given back without a delay,
// or by the end of a consumer, comes again to its place; RabbitMQ says so for what other consumers
// have not overtaken. One that begins before the broker knows the end of another overtakes what that
// had: Config.SingleActive has the broker wait for it.
//
// Acknowledgements have no answer in AMQP. Commit asks the broker something on the same channel and
// waits for the answer. Behind it the settlements before it have been seen by the broker: the end
// of this process or of its connection does not undo them. Tidings answers when they are on disk,
// so nothing undoes them. RabbitMQ does not say when they are: where a node fails in that moment,
// events may be delivered again that were acknowledged and committed. So at most once
// (tidings.BeforeHandle) holds on Tidings, and on RabbitMQ as long as no node of it fails; events
// that come again are marked: their Attempt is at least 2.
//
// Attempt counts deliveries in a quorum queue, over all consumers. A classic queue tells only
// whether there was one before: then Attempt is 2. Delayed copies go on counting from where they
// were.
//
// # Later
//
// PublishAt, and Nack with a delay, have the broker keep an event in durable queues named
// "tidings.delay...", of which there are at most 25 of each type, whatever the delays; the file
// delay.go has the picture. Delays are rounded up to 100 ms and bounded by 19 days. None waits
// behind another. From one queue to the next an event goes at least once where queues are quorum,
// and in one step on Tidings; with classic queues a crash of RabbitMQ in that moment can lose it.
// An event for a group or topic that is deleted in the meantime is gone with it. Nack publishes the
// copy and then acknowledges: a crash between the two has both delivered. Scheduled events come
// with a routing key that is not their type, so that a binding of others by type does not see them.
//
// # Connections
//
// A transport has two connections, one to publish and one to consume. One that is lost is dialled
// again at its next use, with growing pauses until the caller's context ends; a refused login or
// certificate fails at once. Everything is then declared again. Consumers end with their
// connection: Receive fails, and Subscribe waits for the next one. While the broker blocks
// publishers (connection.blocked) Publish waits until its context ends.
//
// RabbitMQ takes a delivery back that is not settled within 30 minutes, and closes the consumer; so
// does Tidings (consumer timeout). Deliveries have no Deadline, since nothing can extend it.
//
// # Limits
//
// Names of topics and groups have at most 200 bytes after Config.Name and do not begin with "amq."
// or "tidings.delay."; types of events have at most 255. All attributes of an event together have
// a frame less 4 KiB, by default 124 KiB, so that a dead letter of it fits one. A new group cannot
// read the past, temporary groups cannot delay, and replies cannot be scheduled:
// tidings.ErrUnsupported.
package rabbitmq
