// Package crash kills the real program under the load of third-party clients, again and
// again, and lets a history judge what became of their records:
//
//	go test ./crash -kills 200 -v
package crash
