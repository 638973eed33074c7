package aws

import "testing"

// TestAKeyIsNotReusedWithoutOne: what is recorded of SQS.
func TestAKeyIsNotReusedWithoutOne(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	for _, c := range []struct{ key, reuse, shown string }{{"k", "6000", "6000"}, {"", "300", ""}} {
		x.ok("SetQueueAttributes", object{"QueueUrl": q, "Attributes": object{attrKey: c.key, attrKeyReuse: c.reuse}})
		if got, _ := x.attributes(q)[attrKeyReuse].(string); got != c.shown {
			t.Errorf("with the key %q: got %q, want %q", c.key, got, c.shown)
		}
	}
}
