// Package asyncapi writes what a service reads and publishes as an AsyncAPI 3.0 document: its
// channels, operations and messages, with a JSON Schema of each Go type.
//
//	err := asyncapi.Write(os.Stdout, asyncapi.Info{Version: "1.4.0"}, svc)
//
// The document is the service's own view of itself, as the specification wants it: what it handles
// it receives, what [tidings.Service.Produces] declared it sends. A route for undecoded events has a
// channel without messages. Names of groups, policies and dead letters are extensions "x-tidings".
//
// Data that is not JSON is described by its content type and the name of its Go type only.
package asyncapi
