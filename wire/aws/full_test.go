package aws

import (
	"fmt"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

// TestWhatAFullQueueRefusesOfABatchHasFailed: a policy bounds the queue, and has it refuse more.
func TestWhatAFullQueueRefusesOfABatchHasFailed(t *testing.T) {
	for _, name := range []string{"orders", "orders.fifo"} {
		t.Run(name, func(t *testing.T) {
			x := start(t, Config{})
			fifo, set := name == "orders.fifo", []string(nil)
			if fifo {
				set = []string{"FifoQueue", "true", "ContentBasedDeduplication", "true"}
			}
			queue := x.queue(name, set...)
			most := int64(2)
			_, err := x.b.SetPolicy(t.Context(), broker.Policy{Name: "short", Operator: true, Pattern: "orders",
				ApplyTo: broker.AllQueues, Queue: broker.QueueSettings{MaxLength: &most, Overflow: broker.RejectPublish}})
			if err != nil {
				t.Fatal(err)
			}
			var entries []object
			for i := range 4 {
				e := object{"Id": fmt.Sprint("e", i), "MessageBody": fmt.Sprint(i)}
				if fifo {
					e["MessageGroupId"] = "g"
				}
				entries = append(entries, e)
			}
			out := x.ok("SendMessageBatch", object{"QueueUrl": queue, "Entries": entries})
			sent, _ := out["Successful"].([]any)
			failed, _ := out["Failed"].([]any)
			if len(sent) != 2 || sent[1].(object)["Id"] != "e1" || len(failed) != 2 || failed[0].(object)["Id"] != "e2" ||
				failed[1].(object)["Message"] != "The queue is full." || failed[1].(object)["Code"] != "RequestThrottled" {
				t.Errorf("answered %v", out)
			}
			one := entries[3]
			one["QueueUrl"] = queue
			delete(one, "Id")
			x.wantError("SendMessage", one, "RequestThrottled", "The queue is full.")
			if got := x.get(queue); len(got) != 2 {
				t.Errorf("received %v", got)
			}
		})
	}
}
