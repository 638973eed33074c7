package amqp

import (
	"context"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"go.uber.org/goleak"
)

// TestMain fails if a test leaves a goroutine behind: every one has an owner whose Close waits
// for it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// rig is a server on a broker on a disk in memory.
type rig struct {
	t      testing.TB
	disk   *vfs.Mem
	broker *broker.Broker
	server *Server
	conns  []net.Conn
}

// serve starts a server with a new broker.
func serve(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	disk := vfs.NewMem()
	return serveOn(t, disk, disk, change...)
}

// serveOn starts one on a disk, or on what stands before it.
func serveOn(t testing.TB, disk *vfs.Mem, fs vfs.FS, change ...func(*Config)) *rig {
	t.Helper()
	bc := broker.Config{FS: fs,
		Props: map[broker.PropsFormat]broker.PropsReader{broker.PropsAMQP: Props{}},
		Relays: map[string]func(*broker.Broker) broker.Relay{relayType: func(b *broker.Broker) broker.Relay {
			return relay{b}
		}}}
	bc.Storage.TailBytes, bc.Storage.JournalBytes, bc.Storage.CarryBytes = 1<<20, 4<<20, 8<<10
	b, err := broker.Open("test", bc)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Addr: "127.0.0.1:0"}
	for _, f := range change {
		f(&c)
	}
	s, err := Listen(b, c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, disk: disk, broker: b, server: s}
	t.Cleanup(r.close)
	return r
}

func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.server.Close(ctx); err != nil {
		r.t.Error(err)
	}
	if n := r.server.Stats().Panics; n > 0 {
		r.t.Errorf("%d connections ended by a bug", n)
	}
	r.broker.Close()
}

// kill ends the server as SIGKILL would, and starts another one on what it leaves on disk.
func (r *rig) kill() *rig {
	r.t.Helper()
	disk := r.disk.Kill()
	for _, nc := range r.conns {
		nc.Close()
	}
	r.close()
	return serveOn(r.t, disk, disk)
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %v\nwant %v", what, got, want)
	}
}
