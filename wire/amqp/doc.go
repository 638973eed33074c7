// Package amqp speaks AMQP 0-9-1 in the dialect of RabbitMQ. So far it holds the codec: bytes to
// values and back, without a socket, a goroutine or a state.
//
// A connection begins with the eight bytes of a protocol header. After it everything, both ways,
// is a frame:
//
//	 0      1         3            7                  7+size
//	+------+---------+------------+------------------+-----+
//	| kind | channel | size       | payload          | CE  |
//	+------+---------+------------+------------------+-----+
//	  1 byte  2        4            size               1
//
//	kind 1  method     class (2), method (2), arguments
//	kind 2  header     class (2), weight (2), body size (8), property flags (2…), properties
//	kind 3  body       a piece of a message
//	kind 8  heartbeat  nothing, on channel 0
//
// A message travels as a method (basic.publish, basic.deliver, basic.return, basic.get-ok), one
// header, and bodies until the body size is reached. Numbers are big-endian.
//
// Four ideas carry the codec:
//
//   - A method is a struct, and its arguments are described once (method_*.go): the same lines
//     read and write them.
//   - The properties of a message stay the bytes that came. A propertyIndex finds what routing
//     needs in them, without allocating. They are taken apart only to change them.
//   - Nothing is allocated on a peer's word: a size is compared with the bytes that are there
//     first, tables are counted before they are decoded, and nest to a limited depth.
//   - Errors carry the reply code with which the connection or the channel must be closed.
//
// The dialect: field tables use RabbitMQ's type letters, which differ from the specification's
// (table.go); exchanges can be bound to exchanges; publishers get confirms; a server may nack and
// cancel; connections can be blocked and given a new secret.
package amqp
