// Package history judges what the clients of a broker saw while it was killed and
// started again.
//
// Clients tell a History what they do: each send before it is made, each
// acknowledgement, each record that a consumer got, each commit of a group, each topic
// made or deleted. At the end Check compares that with what the broker holds then:
//
//	n := h.Sent("p1", at)                  // "I am about to send my n-th record to this partition"
//	h.Acked("p1", at, n, offset)           // "it was acknowledged"
//	...
//	for _, v := range h.Check(final) { t.Error(v) }
//
// The rules:
//
//   - An acknowledged record is there, at the offset that was acknowledged.
//   - The acknowledged records of a producer are in the order sent, in each partition.
//   - A record of an idempotent producer is there once at most.
//   - Every record that is there, or that a consumer got, was sent.
//   - What a consumer got at an offset stays there: nobody sees what a crash takes back.
//   - A topic whose creation was acknowledged is there, with its partitions; one whose deletion
//     was acknowledged is not.
//   - A group's committed offset is never below one that was acknowledged before.
//
// What was not acknowledged may be there or not: the client cannot know.
package history
