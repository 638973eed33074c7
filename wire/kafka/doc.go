// Package kafka is Tidings' Kafka face: it lets unmodified Kafka clients use a broker.Broker.
//
// Three ideas carry it:
//
//   - The served table (table.go) says which requests are spoken, in which versions, in what
//     shape and by which handler. ApiVersions, docs/wire/kafka.md and the tests are made from it.
//   - A connection (conn.go) is one read loop and one write loop. The read loop decodes and
//     hands each request to its handler, which returns at once with a reply that may become
//     ready later: a produce when its batches are on disk, a fetch when there is data, a join
//     when the group has gathered. The write loop sends replies in request order.
//   - Nothing is allocated on a client's word. A frame's buffer grows with the bytes that
//     arrived, and a body is walked along its shape (shape.go) before it is decoded.
//
// A server is started with Listen and ended with Server.Close:
//
//	srv, err := kafka.Listen(b, kafka.Config{Addr: "127.0.0.1:9092", AutoCreate: true})
//	...
//	defer srv.Close(ctx)
//
// What differs from Apache Kafka, and what is not spoken, is written down in docs/wire/kafka.md.
package kafka
