package console

import (
	"fmt"
	"net/http"
	"testing"
)

// What AWS serves is mounted behind the guard; where it is switched off that is said.
func TestActionsOfAWSAreBehindTheGuard(t *testing.T) {
	h := newBench(t, Config{AWS: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path)
	})})
	if got := h.want(200, "POST", "/api/v1/aws/sqs/SendMessage", "{}"); got != "/sqs/SendMessage" {
		t.Errorf("the handler got %s", got)
	}
	r := h.request("POST", "/api/v1/aws/sqs/SendMessage", "{}")
	r.Host = "evil.example"
	if status, _ := h.do(r); status != 403 {
		t.Errorf("a rebound name: got %d, want 403", status)
	}
	newBench(t, Config{}).wantProblem(501, "unsupported", "POST", "/api/v1/aws/sqs/SendMessage", "{}")
}
