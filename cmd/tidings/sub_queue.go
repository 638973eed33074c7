package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidings-io/tidings/console"
)

// browseRecords is how many records of a queue are looked at where nothing is said.
const browseRecords = 100

// subQueue looks at the records of a queue or, with --take, consumes them.
func (a *app) subQueue(ctx context.Context, c client, queue string, f subFlags) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	if err := f.checkQueue(a); err != nil {
		return err
	}
	write, err := a.queueRecordWriter(f.format)
	if err != nil {
		return err
	}
	timed, cancel := f.bound(ctx)
	defer cancel()
	if f.take {
		t := &taking{api: api, queue: queue, f: f, write: write, out: bufio.NewWriter(a.out)}
		got, err := t.run(timed)
		return f.verdict(timed, got, err)
	}
	got, err := a.browseQueue(timed, api, queue, f, write)
	return f.verdict(timed, got, err)
}

func (f *subFlags) checkQueue(a *app) error {
	switch {
	case f.timeout < 0:
		return usage("--timeout: must not be negative")
	case f.limit > 0 && f.expect > 0:
		return usage("--expect already ends after that many records: leave out -n")
	case f.from != "":
		return usage("--from: a queue is read from its head").hint("a topic", "topic/NAME, if you mean one")
	case f.group != "":
		return usage("--group: the consumers of a queue share it without a group").hint("consume", "--take")
	case len(f.partitions) > 0:
		return usage("--partition: a queue has none")
	case f.format != "" && (a.output != "" || a.quiet):
		return usage("-f is a form of its own: leave out -o and -q")
	}
	if f.expect > 0 {
		f.limit = f.expect
		if f.timeout == 0 {
			f.timeout = 10 * time.Second
		}
	}
	return nil
}

func (a *app) browseQueue(
	ctx context.Context, api *apiClient, queue string, f subFlags,
	write func(*bufio.Writer, console.QueueRecord),
) (got int64, err error) {
	limit := f.limit
	if limit == 0 {
		limit = browseRecords
	}
	out := newFlusher(a.out)
	err = api.Browse(ctx, queue, limit, func(rec console.QueueRecord) error {
		out.write(func(w *bufio.Writer) { write(w, rec) })
		got++
		return nil
	})
	if flushErr := out.close(); err == nil {
		err = flushErr
	}
	if err == nil && a.term.out.tty {
		a.note("looked at %s, took none; to consume them:  tidings sub queue/%s --take",
			plural(got, "record"), queue)
	}
	return got, err
}

// takePrefetch is how many records this command holds that others could have.
const takePrefetch = 100

// taking consumes a queue: what was written is accepted, and only that.
type taking struct {
	api   *apiClient
	queue string
	f     subFlags
	write func(*bufio.Writer, console.QueueRecord)
	out   *bufio.Writer

	consumer string
	wake     chan struct{} // capacity 1: there is more to accept, or nothing more will come
	done     chan struct{} // closed when all that was written is accepted, or cannot be

	mu     sync.Mutex // held while writing a record out: it is accepted, or was not written
	newest int64      // delivery that was written
	ended  bool
	failed error // of accepting
}

// run consumes until ctx ends. The stream outlives ctx for as long as it takes to accept
// what stands on the screen already.
func (t *taking) run(ctx context.Context) (got int64, err error) {
	stream, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	t.wake, t.done = make(chan struct{}, 1), make(chan struct{})
	want := console.Consume{Prefetch: takePrefetch, Limit: t.f.limit, Follow: !t.f.exitAtEnd}
	go t.accept(stream, stop)
	defer context.AfterFunc(ctx, func() { t.end(); stop() })()
	err = t.api.Consume(stream, t.queue, want, func(line console.ConsumeLine) error {
		if line.Consumer != "" { // the first
			t.consumer = line.Consumer
			return nil
		}
		if !t.print(line) {
			t.end()
			return errEnough
		}
		if got++; got == t.f.limit {
			t.end()
			return errEnough
		}
		return nil
	})
	t.end()
	switch {
	case t.failed != nil:
		return got, t.failed
	case ctx.Err() != nil && (got < t.f.limit || t.f.limit == 0):
		return got, ctx.Err()
	}
	return got, err
}

// print writes a record out, unless the time is up.
func (t *taking) print(line console.ConsumeLine) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.write(t.out, line.QueueRecord)
	if t.failed = t.out.Flush(); t.failed != nil {
		return false
	}
	t.newest = line.Delivery
	t.ring()
	return true
}

// end says that nothing more will be written, and waits until all that was is accepted:
// the server takes back the rest as soon as the stream ends.
func (t *taking) end() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.ring()
	<-t.done
}

func (t *taking) ring() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// accept accepts what was written, all that has come since the last time at once.
func (t *taking) accept(ctx context.Context, stop context.CancelFunc) {
	defer close(t.done)
	for accepted := int64(0); ; {
		t.mu.Lock()
		newest, ended := t.newest, t.ended
		t.mu.Unlock()
		switch {
		case newest > accepted:
			if err := t.api.Accept(ctx, t.consumer, newest); err != nil {
				t.fail(accepted, newest, err)
				stop()
				return
			}
			accepted = newest
		case ended:
			return
		default:
			<-t.wake
		}
	}
}

func (t *taking) fail(accepted, newest int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.failed == nil {
		t.failed = withHint(err, "note", fmt.Sprintf("the last %s may come again",
			plural(newest-accepted, "record")))
	}
}

// queueRecordWriter returns how a record of a queue is written.
func (a *app) queueRecordWriter(format string) (func(*bufio.Writer, console.QueueRecord), error) {
	if format != "" || a.quiet {
		plainly, err := a.recordWriter(format)
		return func(w *bufio.Writer, r console.QueueRecord) { plainly(w, asRecord(r)) }, err
	}
	switch a.form() {
	case "json":
		return nil, usage("sub has no end, so no one document: use -o jsonl")
	case "jsonl":
		return func(w *bufio.Writer, r console.QueueRecord) {
			r.Delivery = 0 // a number for this process alone
			writeJSONLine(a.jsonOutput(w), r)
		}, nil
	case "tsv":
		return a.writeQueueRecordTSV, nil
	}
	return a.writeQueueRecordLine, nil
}

// asRecord is a record of a queue as -f and -q see it: its key is the routing key.
func asRecord(r console.QueueRecord) console.Record {
	return console.Record{Topic: r.Queue, Offset: r.Offset, Time: r.Time, Key: &r.Key, Value: r.Value,
		ValueBase64: r.ValueBase64, Headers: headersOf(r.Properties)}
}

func (a *app) writeQueueRecordTSV(w *bufio.Writer, r console.QueueRecord) {
	cells := []string{rawTime(r.Time), r.Queue, r.Exchange, r.Key, plain(r.Deliveries),
		textOf(r.Value, r.ValueBase64)}
	for i := range cells {
		cells[i] = a.forOutput(tsvEscaper.Replace(cells[i]))
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// writeQueueRecordLine writes a record for eyes:
//
//	19:37:11.204  mail  shop/order.created  redelivered  [source=shop]  {"id":"o-1"}
func (a *app) writeQueueRecordLine(w *bufio.Writer, r console.QueueRecord) {
	s := a.term.out
	fmt.Fprintf(w, "%s  %s", s.paint(dim, clock(r.Time, a.now())), printable(r.Queue))
	if r.Exchange != "" {
		fmt.Fprintf(w, "  %s", printable(r.Exchange+"/"+r.Key))
	}
	if r.Deliveries > 0 {
		fmt.Fprintf(w, "  %s", s.paint(dim, "redelivered"))
	}
	for _, h := range headersOf(r.Properties) {
		fmt.Fprintf(w, "  %s%s", s.paint(dim, "["+printable(h.Key)+"="),
			printable(textOf(h.Value, h.ValueBase64))+s.paint(dim, "]"))
	}
	fmt.Fprintf(w, "  %s\n", printable(textOf(r.Value, r.ValueBase64)))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
