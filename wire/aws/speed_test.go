package aws

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// speed is a server without a socket, over a disk in memory: what is measured is ours.
type speed struct {
	b *testing.B
	h http.Handler
}

func startSpeed(b *testing.B) *speed {
	r := rig{t: b, c: Config{Addr: "127.0.0.1:0"}, d: vfs.NewMem()}
	r.open()
	b.Cleanup(r.close)
	x := &speed{b, r.s.handler()}
	x.ask("CreateQueue", []byte(`{"QueueName":"q","Attributes":{"VisibilityTimeout":"60","ReceiveMessageWaitTimeSeconds":"0"}}`))
	return x
}

// written keeps the answer's body.
type written struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *written) Header() http.Header         { return w.header }
func (w *written) WriteHeader(status int)      { w.status = status }
func (w *written) Write(b []byte) (int, error) { return w.body.Write(b) }
func (w *written) FlushError() error           { return nil }

// ask answers a request.
func (x *speed) ask(action string, body []byte) []byte {
	r, err := http.NewRequest("POST", "http://localhost:4566/", io.NopCloser(bytes.NewReader(body)))
	if err != nil {
		x.b.Fatal(err)
	}
	r.ContentLength = int64(len(body))
	r.Header["X-Amz-Target"] = []string{"AmazonSQS." + action}
	w := &written{header: http.Header{}}
	x.h.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		x.b.Fatalf("%s: %d %s", action, w.status, w.body.Bytes())
	}
	return w.body.Bytes()
}

const speedQueue = `{"QueueUrl":"http://localhost:4566/000000000000/q",`

// tenMessages is a batch of ten bodies of 1 KiB.
func tenMessages() []byte {
	var entries []string
	for i := range 10 {
		entries = append(entries, fmt.Sprintf(`{"Id":"%d","MessageBody":%q}`, i, strings.Repeat("message ", 128)))
	}
	return []byte(speedQueue + `"Entries":[` + strings.Join(entries, ",") + `]}`)
}

// deletion is a request to delete what an answer has.
func (x *speed) deletion(answer []byte) []byte {
	var got receiveMessageOutput
	if err := json.Unmarshal(answer, &got); err != nil || len(got.Messages) == 0 {
		x.b.Fatalf("%d messages, %v", len(got.Messages), err)
	}
	var entries []string
	for i, m := range got.Messages {
		entries = append(entries, fmt.Sprintf(`{"Id":"%d","ReceiptHandle":%q}`, i, m.ReceiptHandle))
	}
	return []byte(speedQueue + `"Entries":[` + strings.Join(entries, ",") + `]}`)
}

// BenchmarkSend sends ten messages at a time.
func BenchmarkSend(b *testing.B) {
	x, in := startSpeed(b), tenMessages()
	b.ReportAllocs()
	for b.Loop() {
		x.ask("SendMessageBatch", in)
	}
}

// BenchmarkReceive receives ten at a time, or fewer where the broker marks how far it has handed out;
// BenchmarkDelete deletes them.
func BenchmarkReceive(b *testing.B) { benchmarkTaking(b, "ReceiveMessage") }
func BenchmarkDelete(b *testing.B)  { benchmarkTaking(b, "DeleteMessageBatch") }

// benchmarkTaking sends, receives and deletes, and measures one of these.
func benchmarkTaking(b *testing.B, measured string) {
	x, in := startSpeed(b), tenMessages()
	timed := func(action string, body []byte) []byte {
		if action == measured {
			b.StartTimer()
			defer b.StopTimer()
		}
		return x.ask(action, body)
	}
	b.ReportAllocs()
	b.StopTimer()
	for range b.N {
		x.ask("SendMessageBatch", in)
		got := timed("ReceiveMessage", []byte(speedQueue+`"MaxNumberOfMessages":10}`))
		timed("DeleteMessageBatch", x.deletion(got))
	}
}
