// Package management serves RabbitMQ's management HTTP API for an AMQP listener, so that tools and
// test suites that list queues, publish a message or close a connection find what they expect.
//
//	s, err := amqp.Listen(b, amqp.Config{})
//	m, err := management.Listen(b, s, management.Config{}) // http://localhost:15672/api
//	...
//	m.Close(ctx) // before s
//
// Three ideas carry it:
//
//   - Who may use it is a user of AMQP: every request has basic auth, judged by the listener, and the
//     user's tags say what he may ask for (access.go).
//   - What changes something goes through amqp.Direct, and so meets the checks, and gets the words,
//     of a channel. What only reads asks the broker.
//   - A document is a map with RabbitMQ's names. What is not known is left out, and never
//     invented; what is not built is answered with 501 and a reason.
//
// Browsers keep passwords and send them along for any page that asks. So a foreign Host or Origin
// is refused before the password is looked at (guard.go).
//
// docs/wire/amqp-management.md lists what is served.
package management
