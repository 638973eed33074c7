package amqp

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// docs/wire/amqp.md: "An idle connection with a channel costs at most 40 KiB". It has published
// before: what that needed is given back.
func TestAnIdleConnectionCostsAtMost40KiB(t *testing.T) {
	const connections, most = 400, 40 << 10
	r := serve(t)
	before := inUse()
	for range connections {
		c := r.dial()
		c.send(1, &queueDeclare{queue: "q"})
		want[*queueDeclareOk](c, 1)
		c.buf = nil
	}
	if each := (inUse() - before) / connections; each > most {
		t.Errorf("an idle connection costs %d bytes, want at most %d", each, most)
	} else {
		t.Logf("an idle connection costs %d bytes", each)
	}
	runtime.KeepAlive(r)
}

// docs/wire/amqp.md: "One that was busy gives back with the next heartbeats what that needed".
func TestABusyConnectionGivesBackItsMemoryWithTheHeartbeats(t *testing.T) {
	const connections, messages, most = 40, 200, 40 << 10
	r := serve(t)
	before := inUse()
	var all []*client
	for range connections {
		c := r.raw()
		c.shake(capable, connectionTuneOk{frameMax: c.frameMax, heartbeat: 1})
		c.open(1)
		c.busy(messages)
		all = append(all, c)
	}
	for _, c := range all {
		c.rest()
	}
	if each := (inUse() - before) / connections; each > most {
		t.Errorf("a connection that was busy costs %d bytes, want at most %d", each, most)
	} else {
		t.Logf("a connection that was busy costs %d bytes", each)
	}
	runtime.KeepAlive(r)
}

// busy publishes messages of 1 KiB to a queue of its own, and takes them.
func (c *client) busy(messages int) {
	c.t.Helper()
	q := c.queue(queueDeclare{exclusive: true}).queue
	c.qos(1, uint16(messages), false)
	c.put(q, slices.Repeat([]string{strings.Repeat("x", 1<<10)}, messages)...)
	c.consume(1, basicConsume{queue: q})
	for range messages {
		wantMessage[*basicDeliver](c, 1)
	}
	c.send(1, &basicAck{multiple: true})
	c.sync(1)
}

// rest is idle for two heartbeats of the server, and says so as often.
func (c *client) rest() {
	c.t.Helper()
	for range 2 {
		c.write(heartbeatFrame)
		beat := make([]byte, len(heartbeatFrame))
		c.nc.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c.nc, beat); err != nil || !bytes.Equal(beat, heartbeatFrame) {
			c.t.Fatalf("got %x, %v, want a heartbeat", beat, err)
		}
	}
	c.buf, c.early = nil, nil
}

// inUse is what heap and stacks take.
func inUse() int64 {
	for range 4 { // each halves stacks that were large once
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
