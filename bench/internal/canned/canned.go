// Package canned answers requests of SQS with answers that were made beforehand, whatever is in them: it is no
// queue, and its rate is what a client can do. It knows the messages, batches and ids of bench/sqs, whose
// checksums the SDK compares.
package canned

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The queues there are. Idle has no messages: a receive waits for them.
const (
	Queue = "bench"
	Idle  = "idle"
)

// Batch is how many messages each batch has, with their places as ids.
const Batch = 10

// Body is what every message holds: 1 KiB.
func Body() string {
	b := make([]byte, 1024)
	for i := range b {
		b[i] = byte('a' + i*7%26)
	}
	return string(b)
}

// Handler looks at the name of the action, and at whether the queue is the idle one.
func Handler() http.Handler {
	all := answers()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		body, _ := io.ReadAll(r.Body) // what does not come is not needed
		idle := (action == "CreateQueue" || action == "ReceiveMessage") &&
			strings.Contains(string(body), Idle+`"`)
		if idle && action == "ReceiveMessage" {
			hold(r.Context())
		}
		if idle {
			action += " " + Idle
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = w.Write(all[action])
	})
}

// hold is a long poll.
func hold(ctx context.Context) {
	t := time.NewTimer(20 * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

type object = map[string]any

func answers() map[string][]byte {
	sum := fmt.Sprintf("%x", md5.Sum([]byte(Body())))
	var sent, received, done []object
	for i := range Batch {
		id, message := strconv.Itoa(i), fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		sent = append(sent, object{"Id": id, "MessageId": message, "MD5OfMessageBody": sum})
		received = append(received, object{"MessageId": message, "MD5OfBody": sum, "Body": Body(),
			"ReceiptHandle": strings.Repeat("A", 59)})
		done = append(done, object{"Id": id})
	}
	all := map[string][]byte{}
	for action, answer := range map[string]object{
		"ListQueues":          {},
		"CreateQueue":         {"QueueUrl": "http://stub/0/" + Queue},
		"CreateQueue idle":    {"QueueUrl": "http://stub/0/" + Idle},
		"SendMessage":         {"MessageId": sent[0]["MessageId"], "MD5OfMessageBody": sum},
		"SendMessageBatch":    {"Successful": sent},
		"ReceiveMessage":      {"Messages": received},
		"ReceiveMessage idle": {},
		"DeleteMessageBatch":  {"Successful": done},
	} {
		all[action], _ = json.Marshal(answer) // strings and lists of them
	}
	return all
}
