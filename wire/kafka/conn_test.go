package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// versioned sets a request's version.
func versioned[Q kmsg.Request](version int16, q Q) Q {
	q.SetVersion(version)
	return q
}

// pollRequest is a fetch that waits long for records of an empty partition.
func pollRequest(topic string, wait time.Duration) *kmsg.FetchRequest {
	q := fetchRequest(topic, [16]byte{}, 0)
	q.MaxWaitMillis = int32(wait.Milliseconds())
	return versioned(12, q)
}

func TestAnswersComeInTheOrderOfRequests(t *testing.T) {
	r := serve(t)
	r.topic("slow", 1)
	topic := r.topic("fast", 1)
	c := r.dial()
	produce := versioned(9, produceRequest("fast", [16]byte{}, batch(t, "x")))
	var all []byte
	queries := []kmsg.Request{
		produce, pollRequest("slow", patience), produce,
		versioned(12, kmsg.NewPtrMetadataRequest()), produce,
	}
	for i, q := range queries {
		all = append(all, encode(q, int32(i))...)
	}
	c.write(all)
	got, body := c.receive()
	same(t, "first answer", got, int32(0))
	same(t, "error", errorCodesOf(c.decode(produce, body)), 0)

	// The later produces are not held back by the fetch, their answers are.
	waitFor(t, func() bool { _, end := topic.Partition(0).Bounds(); return end == 3 })
	other := r.dial()
	other.do(versioned(9, produceRequest("slow", [16]byte{}, batch(t, "y"))))
	for i, q := range queries[1:] {
		got, body := c.receive()
		same(t, "next answer", got, int32(i+1))
		same(t, "errors", errorCodesOf(c.decode(q, body)), 0)
	}
}

func errorCodesOf(resp kmsg.Response) int { return len(errorCodes(valueOf(resp))) }

// waitFor waits until something that another goroutine does has come about.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("got nothing in time, want it to come about")
		}
	}
}

func TestProduceWithoutAcksHasNoAnswer(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	c := r.dial()
	q := versioned(9, produceRequest("t", [16]byte{}, batch(t, "x")))
	q.Acks = 0
	c.send(q)
	c.do(versioned(12, kmsg.NewPtrMetadataRequest())) // fails unless its answer is the next one
	waitFor(t, func() bool { _, end := topic.Partition(0).Bounds(); return end == 1 })

	q.Topics[0].Topic = "absent"
	c.send(q)
	c.ended() // so that the client asks for metadata again
}

func TestBrokenRequestEndsItsConnectionAlone(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	bystander := r.dial()
	head := func(key, version uint16, rest string) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(8+len(rest)))
		b = binary.BigEndian.AppendUint16(b, key)
		b = binary.BigEndian.AppendUint16(b, version)
		return append(binary.BigEndian.AppendUint32(b, 1), rest...)
	}
	metadata := encode(versioned(12, kmsg.NewPtrMetadataRequest()), 1)
	cut := metadata[:len(metadata)-1]
	binary.BigEndian.PutUint32(cut, uint32(len(cut)-lengthBytes))
	for name, b := range map[string][]byte{
		"negative length":      {0xff, 0xff, 0xff, 0xff, 0, 0},
		"huge length":          {0x7f, 0xff, 0xff, 0xff, 0, 0},
		"unknown key":          head(999, 0, "\xff\xff"),
		"refused key":          head(24, 0, "\xff\xff"), // AddPartitionsToTxn
		"version too low":      head(1, 3, "\xff\xff"),
		"version too high":     head(3, 14, "\xff\xff"),
		"no client id":         head(3, 0, ""),
		"client id too long":   head(3, 0, "\x7f\xffx"),
		"bad client id":        head(3, 0, "\xff\xfex"),
		"too many header tags": head(3, 12, "\xff\xff\xff\xff\xff\xff\x0f"),
		"body cut short":       cut,
		"body of lies":         head(3, 0, "\xff\xff\x7f\xff\xff\xff"),
		"http":                 []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"tls":                  {0x16, 3, 1, 0, 0xf8, 1, 0, 0, 0xf4, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			c.t = t
			c.write(b)
			c.ended()
		})
	}
	bystander.do(versioned(12, kmsg.NewPtrMetadataRequest()))
	same(t, "panics", r.server.Stats().Panics, uint64(0))
}

func TestUnknownVersionOfAPIVersionsIsAnswered(t *testing.T) {
	r := serve(t)
	c := r.dial()
	for _, version := range []uint16{5, 99, 0xffff} {
		b := []byte{0, 0, 0, 15, 0, 18, byte(version >> 8), byte(version), 0, 0, 0, 9}
		b = append(b, "\x00\x01zwhat"[:7]...)
		b[3] = byte(len(b) - 4)
		c.write(b)
		got, body := c.receive()
		same(t, "correlation id", got, int32(9))
		resp := kmsg.NewApiVersionsResponse() // version 0
		if err := resp.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		want := kmsg.NewApiVersionsResponse()
		want.ErrorCode = errUnsupportedVersion
		want.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 18, MinVersion: 0, MaxVersion: 4}}
		same(t, "response", resp, want)
	}
	known := &kmsg.ApiVersionsRequest{ClientSoftwareName: "x", ClientSoftwareVersion: "1"}
	c.do(versioned(3, known))
}

func TestSilentConnectionsAreClosed(t *testing.T) {
	r := serve(t, func(c *Config) {
		c.Limits.FirstRequest, c.Limits.Idle = 50*time.Millisecond, 50*time.Millisecond
	})
	r.dial().ended() // no first request

	half := r.dial()
	half.write([]byte{0, 0})
	half.ended()

	idle := r.dial()
	idle.do(versioned(12, kmsg.NewPtrMetadataRequest()))
	idle.ended()
}

func TestConnectionThatWaitsIsNotIdle(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.Idle = 20 * time.Millisecond })
	topic := r.topic("t", 1)
	c := r.dial()
	id := c.send(pollRequest("t", patience))
	time.Sleep(100 * time.Millisecond) // five times the limit
	r.write(topic, 0, "x")
	got, _ := c.receive()
	same(t, "answer", got, id)
	c.ended()
}

func TestHalfSentRequestsHarmNobody(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	for range 200 {
		liar := r.dial()
		liar.write([]byte{5, 0xf5, 0xe1, 0, 0, 0, 0, 9, 0, 0}) // 100 MB of a produce
	}
	c := r.dial()
	large := batch(t, strings.Repeat("x", 900_000))
	same(t, "errors", errorCodesOf(c.do(versioned(9, produceRequest("t", [16]byte{}, large)))), 0)
	_, end := topic.Partition(0).Bounds()
	same(t, "end", end, broker.Offset(1))
	r.server.requestMemory.mu.Lock()
	left := r.server.requestMemory.left
	r.server.requestMemory.mu.Unlock()
	if taken := r.server.config.Limits.RequestMemory - left; taken > 2<<20 {
		t.Fatalf("got %d bytes taken, want what one produce needs", taken)
	}
}

func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.WriteTimeout = 100 * time.Millisecond })
	topic := r.topic("t", 1)
	for range 20 {
		r.write(topic, 0, strings.Repeat("x", 900_000))
	}
	c := r.dial()
	c.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	q := fetchRequest("t", [16]byte{}, 0)
	q.MaxBytes, q.Topics[0].Partitions[0].PartitionMaxBytes = 1<<30, 1<<30
	one := encode(versioned(12, q), 1)
	go func() { // until it is cut off
		for {
			if _, err := c.conn.Write(one); err != nil {
				return
			}
		}
	}()
	bystander := r.dial()
	waitFor(t, func() bool {
		bystander.do(versioned(12, kmsg.NewPtrMetadataRequest()))
		return r.server.Stats().Connections == 1
	})
	r.server.fetchMemory.mu.Lock()
	defer r.server.fetchMemory.mu.Unlock()
	same(t, "fetch memory left", r.server.fetchMemory.left, r.server.config.Limits.FetchMemory)
}

func TestPipelineIsBounded(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.Pipeline = 10 })
	r.topic("t", 1)
	c := r.dial()
	c.send(pollRequest("t", patience))
	one := encode(versioned(12, kmsg.NewPtrMetadataRequest()), 1)
	go func() { // more than the limit and the socket's buffers take
		for {
			if _, err := c.conn.Write(one); err != nil {
				return
			}
		}
	}()
	waitFor(t, func() bool { return r.server.Stats().Requests >= 11 })
	time.Sleep(50 * time.Millisecond)
	// The fetch is with the write loop, 10 are queued, and one is about to be.
	if got := r.server.Stats().Requests; got > 12 {
		t.Fatalf("got %d requests served behind one that waits, want at most 12", got)
	}
}

func TestQueuedBytesAreBounded(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.QueuedBytes = 100_000 })
	r.topic("t", 1)
	r.topic("many", 1000) // some 30 KB of metadata
	c := r.dial()
	c.send(pollRequest("t", patience))
	one := encode(versioned(12, kmsg.NewPtrMetadataRequest()), 1)
	for range 50 {
		c.write(one)
	}
	waitFor(t, func() bool { return r.server.Stats().Requests >= 4 })
	time.Sleep(50 * time.Millisecond)
	if got := r.server.Stats().Requests; got > 6 {
		t.Fatalf("got %d requests served, want few: their answers are large", got)
	}
}

// queuedBytes is the weight of what waits on a server's connections.
func (r *rig) queuedBytes() (n int64) {
	for _, c := range r.server.conns.All() {
		n += c.queued.Load()
	}
	return n
}

func TestQueuedAnswersWeighTheNamesTheyHold(t *testing.T) {
	const topics = 2000
	long := func(i int) string { return fmt.Sprintf("%0249d", i) } // the longest name
	del := versioned(1, kmsg.NewPtrDeleteGroupsRequest())
	fetch := versioned(12, fetchRequest("t", [16]byte{}, 0))
	commit := versioned(8, commitRequest("g", "t", [16]byte{}, 1))
	produce := versioned(8, kmsg.NewPtrProduceRequest())
	produce.Acks = -1
	for i := range topics {
		del.Groups = append(del.Groups, long(i))
		fetch.Topics = append(fetch.Topics, kmsg.FetchRequestTopic{Topic: long(i)})
		commit.Topics = append(commit.Topics, kmsg.OffsetCommitRequestTopic{Topic: long(i)})
		produce.Topics = append(produce.Topics, kmsg.ProduceRequestTopic{Topic: long(i)})
	}
	for _, q := range []kmsg.Request{del, fetch, commit, produce} {
		r := serve(t)
		r.topic("t", 1)
		c := r.dial()
		c.send(pollRequest("t", patience))
		c.send(q)
		waitFor(t, func() bool { return r.queuedBytes() > topics*249 })
	}
}

func TestTooLongTopicNameInProduceIsNotHeld(t *testing.T) {
	r := serve(t)
	c := r.dial()
	q := versioned(8, kmsg.NewPtrProduceRequest())
	q.Topics = []kmsg.ProduceRequestTopic{{Topic: strings.Repeat("n", 250)}}
	c.send(q)
	c.ended()
}

func TestTooManyConnectionsAreRefused(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.Connections = 2 })
	first, second := r.dial(), r.dial()
	first.do(versioned(12, kmsg.NewPtrMetadataRequest()))
	second.do(versioned(12, kmsg.NewPtrMetadataRequest()))
	r.dial().ended()
	first.conn.Close()
	waitFor(t, func() bool { return r.server.Stats().Connections == 1 })
	r.dial().do(versioned(12, kmsg.NewPtrMetadataRequest()))
	same(t, "refused", r.server.Stats().Refused, uint64(1))
}

func TestCloseAnswersWhatWaits(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	polling, joining := r.dial(), r.dial()
	poll := pollRequest("t", patience)
	polling.send(poll)
	stableAlone(joining, "g")
	join := versioned(3, joinRequest("g", "")) // the other member is missing
	joining.send(join)
	waitFor(t, func() bool { return r.groupState("g") == "PreparingRebalance" })

	closed := make(chan error, 1)
	go func() { closed <- r.server.Close(context.Background()) }()
	_, body := polling.receive()
	same(t, "fetch", errorCodesOf(polling.decode(poll, body)), 0)
	_, body = joining.receive()
	got := errorCodes(valueOf(joining.decode(join, body)))
	same(t, "join", got, []code{errCoordinatorNotAvailable})
	polling.ended()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}

func TestCloseCutsWhoDoesNotReadInTime(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	for range 10 {
		r.write(topic, 0, strings.Repeat("x", 900_000))
	}
	c := r.dial()
	c.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	q := fetchRequest("t", [16]byte{}, 0)
	q.MaxBytes, q.Topics[0].Partitions[0].PartitionMaxBytes = 1<<30, 1<<30
	for range 5 {
		c.send(versioned(12, q))
	}
	waitFor(t, func() bool { return r.server.Stats().Requests == 5 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := r.server.Close(ctx); err == nil {
		t.Fatal("got no error, want that of the context")
	}
	same(t, "connections", r.server.Stats().Connections, 0)
}

func TestRemoteAddressIsRefusedUnlessMeant(t *testing.T) {
	b := openBroker(t, vfs.NewMem())
	defer b.Close()
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:9092", "nonsense"} {
		if s, err := Listen(b, Config{Addr: addr}); err == nil {
			s.Close(context.Background())
			t.Errorf("%s: got a server, want an error", addr)
		}
	}
	s, err := Listen(b, Config{Addr: "0.0.0.0:0", AllowRemote: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Close(context.Background())
}

func TestAdvertisedAddress(t *testing.T) {
	local := &net.TCPAddr{IP: net.ParseIP("127.0.0.1"), Port: 9092}
	v6 := &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 9092, Zone: "eth0"}
	mapped := &net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1"), Port: 9092}
	for _, c := range []struct {
		setting string
		local   net.Addr
		want    endpoint
	}{
		{"", local, endpoint{"127.0.0.1", 9092}},
		{"", v6, endpoint{"fe80::1", 9092}},
		{"", mapped, endpoint{"10.0.0.1", 9092}},
		{"kafka.example", local, endpoint{"kafka.example", 9092}},
		{"kafka.example:19092", local, endpoint{"kafka.example", 19092}},
		{"[::1]:1", local, endpoint{"::1", 1}},
	} {
		got, err := advertised(c.setting, c.local)
		if err != nil || got != c.want {
			t.Errorf("%q: got %v, %v, want %v", c.setting, got, err, c.want)
		}
	}
	if _, err := advertised("host:port", local); err == nil {
		t.Error("got no error for a port that is none")
	}
}

func TestListenerSpeaksTLS(t *testing.T) {
	cert := selfSigned(t)
	r := serve(t, func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		c.Limits.FirstRequest = time.Second
	})
	topic := r.topic("t", 1)
	r.write(topic, 0, strings.Repeat("x", 500_000))
	conn, err := tls.Dial("tcp", r.server.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{t: t, conn: conn}
	resp := ask[*kmsg.FetchResponse](c, 12, fetchRequest("t", [16]byte{}, 0))
	same(t, "values", len(values(t, resp.Topics[0].Partitions[0].RecordBatches)[0]), 500_000)

	plain := r.dial()
	plain.write(encode(versioned(12, kmsg.NewPtrMetadataRequest()), 1))
	plain.conn.SetReadDeadline(time.Now().Add(patience))
	for { // an alert may come before the end
		if _, err := plain.conn.Read(make([]byte, 100)); err != nil {
			if isTimeout(err) {
				t.Fatal(err)
			}
			return
		}
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestPanickingHandlerEndsItsConnectionAlone(t *testing.T) {
	r := serve(t)
	e := lookup(60)
	real := e.serve
	e.serve = func(*conn, *request, kmsg.Request) reply { panic("a bug") }
	defer func() { e.serve = real }()
	c := r.dial()
	c.send(kmsg.NewPtrDescribeClusterRequest())
	c.ended()
	same(t, "panics", r.server.Stats().Panics, uint64(1))
	r.dial().do(versioned(12, kmsg.NewPtrMetadataRequest()))
}
