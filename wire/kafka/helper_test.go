package kafka

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

// TestMain fails if a test leaves a goroutine behind: every one has an owner whose Close
// waits for it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// rig is a server on a broker on a disk in memory.
type rig struct {
	t      testing.TB
	disk   *vfs.Mem
	broker *broker.Broker
	server *Server
}

func openBroker(t testing.TB, fs vfs.FS, change ...func(*broker.Config)) *broker.Broker {
	t.Helper()
	c := broker.Config{FS: fs}
	c.Storage.TailBytes, c.Storage.JournalBytes, c.Storage.CarryBytes = 1<<20, 4<<20, 8<<10
	for _, f := range change {
		f(&c)
	}
	b, err := broker.Open("test", c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve starts a server with a new broker.
func serve(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	disk := vfs.NewMem()
	return serveOn(t, disk, openBroker(t, disk), change...)
}

func serveOn(t testing.TB, disk *vfs.Mem, b *broker.Broker, change ...func(*Config)) *rig {
	t.Helper()
	c := Config{Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	s, err := Listen(b, c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t, disk, b, s}
	t.Cleanup(func() { r.close() })
	return r
}

// serveObserved starts a server whose broker tells an observer.
func serveObserved(t testing.TB, o broker.Observer) *rig {
	t.Helper()
	disk := vfs.NewMem()
	return serveOn(t, disk, openBroker(t, disk, func(c *broker.Config) { c.Observer = o }))
}

func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.server.Close(ctx); err != nil {
		r.t.Error(err)
	}
	r.broker.Close()
}

// kill ends the server as SIGKILL would, and starts another one on what it leaves on disk.
func (r *rig) kill(change ...func(*Config)) *rig {
	r.t.Helper()
	disk := r.disk.Kill()
	r.close()
	return serveOn(r.t, disk, openBroker(r.t, disk), change...)
}

// topic creates a topic.
func (r *rig) topic(
	name string, partitions int, change ...func(*broker.TopicConfig),
) *broker.Topic {
	r.t.Helper()
	spec := broker.TopicSpec{Name: name, Partitions: partitions}
	for _, f := range change {
		f(&spec.Config)
	}
	t, err := r.broker.CreateTopic(context.Background(), spec)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

// write appends records, one batch each, and waits until they are on disk.
func (r *rig) write(t *broker.Topic, partition int, values ...string) {
	r.t.Helper()
	for i, v := range values {
		rec := broker.Record{Value: []byte(v), Time: recordTime(i)}
		done, err := t.Partition(partition).Write(context.Background(), rec)
		if err == nil {
			err = done.Confirm.Wait(context.Background())
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// recordTime is the time of the i-th record of write.
func recordTime(i int) time.Time { return time.UnixMilli(1_700_000_000_000 + int64(i)*1000) }

// client is a raw connection that speaks the protocol.
type client struct {
	t    testing.TB
	conn net.Conn
	next int32
}

func (r *rig) dial() *client {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.server.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	c := &client{t: r.t, conn: conn}
	r.t.Cleanup(func() { conn.Close() })
	return c
}

// send writes a request and returns its correlation id.
func (c *client) send(q kmsg.Request) int32 {
	c.t.Helper()
	c.next++
	c.write(encode(q, c.next))
	return c.next
}

func encode(q kmsg.Request, correlation int32) []byte {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test-client"))
	return f.AppendRequest(nil, q, correlation)
}

func (c *client) write(b []byte) {
	c.t.Helper()
	c.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads one response frame: its correlation id and what follows.
func (c *client) receive() (int32, []byte) {
	c.t.Helper()
	correlation, body, err := c.tryReceive()
	if err != nil {
		c.t.Fatal(err)
	}
	return correlation, body
}

func (c *client) tryReceive() (int32, []byte, error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	var length [4]byte
	if _, err := io.ReadFull(c.conn, length[:]); err != nil {
		return 0, nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(c.conn, frame); err != nil {
		return 0, nil, err
	}
	return int32(binary.BigEndian.Uint32(frame)), frame[4:], nil
}

// do sends a request and returns its response.
func (c *client) do(q kmsg.Request) kmsg.Response {
	c.t.Helper()
	want := c.send(q)
	got, body := c.receive()
	if got != want {
		c.t.Fatalf("got correlation id %d, want %d", got, want)
	}
	return c.decode(q, body)
}

func (c *client) decode(q kmsg.Request, body []byte) kmsg.Response {
	c.t.Helper()
	resp := q.ResponseKind()
	if resp.IsFlexible() && resp.Key() != keyAPIVersions {
		if body[0] != 0 {
			c.t.Fatalf("got %d tagged fields in the response header, want 0", body[0])
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatalf("decode %s version %d: %v", kmsg.NameForKey(q.Key()), q.GetVersion(), err)
	}
	// What the codec would write for what it has read must be what was sent.
	if again := resp.AppendTo(nil); len(again) != len(body) {
		c.t.Fatalf("%s version %d: response has %d bytes, its contents %d",
			kmsg.NameForKey(q.Key()), q.GetVersion(), len(body), len(again))
	}
	return resp
}

// ask is do for a request in a version, with the response's type.
func ask[R kmsg.Response](c *client, version int16, q kmsg.Request) R {
	c.t.Helper()
	q.SetVersion(version)
	return c.do(q).(R)
}

// ended waits until the server has closed the connection.
func (c *client) ended() {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.conn.Read(make([]byte, 1)); n > 0 || isTimeout(err) {
		c.t.Fatalf("got %d bytes and %v, want the end of the connection", n, err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// batch encodes records as a producer would.
func batch(t testing.TB, values ...string) []byte {
	t.Helper()
	recs := make([]broker.Record, len(values))
	for i, v := range values {
		recs[i] = broker.Record{Value: []byte(v), Time: recordTime(i)}
	}
	raw, err := broker.EncodeBatch(nil, broker.None, recs...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// same compares whole values.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %s, want %s", what, readable(got), readable(want))
	}
}

// readable shows what pointers point to.
func readable(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v", v)
	}
	return string(b)
}

func valueOf(v any) reflect.Value { return reflect.ValueOf(v) }

func ptr[T any](v T) *T { return &v }
