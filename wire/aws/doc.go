// Package aws speaks SQS and SNS to every AWS SDK, over one HTTP port.
//
// A request goes through four hands. A codec reads it: JSON 1.0, which SDKs speak since the end of
// 2023, or the query protocol of those before, forms in and XML out. The table of actions names what
// was asked for. A method of Server does it with structs that know of no codec, and the codec writes
// the answer. So a further codec needs no change of an action, and a further action none of a codec.
//
// A queue of SQS is a durable queue of the broker in its default namespace. What SQS says of it
// (attributes and tags) stands in its arguments, and what the engine has to know in its settings.
// A queue that was not made here is not there for SQS.
//
// A topic of SNS is an exchange, whose ways to its subscribers are kept by Topics: see there.
//
// docs/wire/aws.md and docs/wire/sns.md are what clients can rely on.
package aws
