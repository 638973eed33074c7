// Package aws is a [tidings.Transport] over SNS and SQS, of AWS or of a Tidings broker.
//
//	loaded, err := config.LoadDefaultConfig(ctx) // of aws-sdk-go-v2
//	t, err := aws.New(aws.Config{AWS: loaded})
//	svc := tidings.NewService("billing", t)
//
// # What is what
//
// A topic is a topic of SNS. A group is a queue of SQS that has subscribed to its topics with raw
// delivery, and the queue is the group's address too: commands are sent to it. All of it is made at
// its first use, standard or FIFO as Config.FIFO says. What is there is used as it is: a queue with
// its attributes, a subscription with its filter policy. A temporary group is a queue with the tag
// tidings-temporary that Close deletes; one that a crash leaves stays until somebody does.
//
// Names have a '_' for each '.', unless Config.Name makes others. Where it makes one of two, the
// second is refused at its first use: topics and queues have the tag tidings-name with the name in
// the program, and those without it have no other than they show.
//
// Events travel in structured mode of CloudEvents, as the body. Message attributes repeat some of
// it for filter policies and readers: content-type, type, source, key, topic; one that SQS could
// not have, with control characters, is left out. Binary mode is read too, as message attributes
// with the prefix "ce_", "ce-" or "cloudEvents_", and so are documents with SNS's envelope around
// them. Any other message is an event without a type, unless it has an attribute type, whose id is
// that of SNS or SQS. Where a group has several topics and a message does not tell by which it
// came, it counts as sent to the group alone; raw delivery of foreign messages does not tell. Such a
// one may say of itself that it is a command, or an event of another topic: who may publish to a
// topic is trusted with all of the groups that read it.
//
// # What is promised
//
// Publish returns nil when SNS or SQS has answered for every event. On AWS it is then kept in
// several zones; on Tidings it is on disk in every queue that gets it. Events that no group has
// subscribed to are gone.
//
// Delivery is at least once. A standard queue delivers in any order, and now and then twice without
// a reason; so does its topic. The deletion of a message and its redelivery can cross: an event
// whose Ack has not been committed, or whose time is over, may be in other hands.
//
// With FIFO the events of a key come in their order, one after the other, whatever the number of
// consumers: while one is in somebody's hands, delayed by Nack, or lost until its time is over,
// those behind it wait. Those that were received together are in hand together. A topic takes an
// event once within 5 minutes, by topic, source and id. What goes to an address, a command, a
// retry, a dead letter, always goes through. This is no inbox: what comes after 5 minutes comes
// twice. Of one call to Publish no two events of a key travel in one request, since a request can
// fail in part, and behind an event that failed no other of its key is sent: so publishing the
// failed ones again keeps the order, at the price of a request for each event of the busiest key.
//
// Attempt is SQS's own count over all consumers; a message that a request has lost on its way back
// counts as well.
//
// # Settling
//
// A delivery is ours for Config.VisibilityTimeout, until Extend moves its Deadline. Ack has the
// message deleted in the background, ten in a request, and tries again until the Deadline; Commit
// waits for all that was acknowledged before and is tidings.ErrLost where one came too late. Nack
// and Extend wait for their answer, and share requests too. Delays are rounded up to seconds. SQS
// hides a message for 12 h at most after it was received, which bounds delays and extensions. Close
// gives back what is in hand; a poll that it breaks off may have taken messages, which come again
// when their time is over.
//
// # Limits
//
// An event with its attributes has at most 256 KiB through a topic, 1 MiB less 4 KiB to an address.
// A queue name has 80 characters, ".fifo" included. A new group cannot read the past, nothing that topics
// take can be scheduled (PublishAt is for commands to standard queues, up to 15 minutes), and there
// are no positions and no transactions: tidings.ErrUnsupported. AWS takes up to a minute to forget
// a queue that was deleted: a reply may be sent into it, and a queue of the name is refused
// meanwhile. Queues that the transport makes keep events for Config.Retention; what is longer in
// them is gone. FIFO ones have high throughput.
//
// # Costs and rights
//
// AWS counts requests. Ten events share one to publish, one to receive and one to delete; Nack,
// Extend and small batches have fewer in each. An idle consumer polls every 20 seconds. A first use
// of a topic or group takes two to four requests more for each.
//
// Publishers need sns:CreateTopic, ListTagsForResource and Publish, sqs:GetQueueUrl, ListQueueTags
// and SendMessage, CreateQueue and TagQueue where a queue may be missing; groups also sns:Subscribe
// and TagResource, sqs:GetQueueAttributes, SetQueueAttributes, ReceiveMessage, DeleteMessage and
// ChangeMessageVisibility; temporary ones sns:Unsubscribe and sqs:DeleteQueue. The transport adds a
// statement to a queue's policy, TidingsTopics, that lets topics of the same account and region
// send to it; a policy that names the group's topics is left alone.
package aws
