// Package console is the admin HTTP API of a running broker: versioned JSON
// documents below /api/v1, Prometheus metrics at /metrics and a health answer
// at /healthz. The command line speaks to it, and so may any HTTP client:
//
//	curl -s localhost:7070/api/v1/topics
//	curl -sN 'localhost:7070/api/v1/topics/orders/records?from=start&follow=true'
//	curl -s -H 'Content-Type: application/json' \
//	     -d '{"records":[{"key":"o-1","value":"hello"}]}' \
//	     localhost:7070/api/v1/topics/orders/records
//
// Three ideas hold it together. Every document is a Go struct in documents.go,
// so the command line decodes what the server encodes; docs/api.md describes
// each field. A change is answered only when it is on disk. Looking never
// consumes: reading records moves no group's cursor.
//
// The API has no users and no passwords yet. It therefore listens on loopback
// unless told otherwise, answers only to host names it knows (a page that
// rebinds its DNS name to 127.0.0.1 is refused), and refuses every request that
// another web origin started: see guard.go.
//
// What the faces know and the broker does not (their listeners, the members of
// a Kafka group) comes in by functions in Config.
package console
