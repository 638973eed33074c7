package console

import (
	"reflect"
	"testing"
	"time"
)

func TestTopicIsCreatedShownGrownAndDeleted(t *testing.T) {
	h := newBench(t, Config{Partitions: 2})
	h.want(201, "POST", "/api/v1/topics", `{"name":"orders","config":{"retentionSeconds":-1}}`)
	got := fetch[TopicDetail](h, "/api/v1/topics/orders")
	if got.Name != "orders" || got.Partitions != 2 || got.Config.RetentionSeconds != -1 ||
		len(got.PartitionList) != 2 || got.Created.IsZero() || got.ID == "" {
		t.Errorf("got %+v", got)
	}
	h.want(200, "POST", "/api/v1/topics/orders/partitions", `{"partitions":5}`)
	if got := fetch[Topics](h, "/api/v1/topics").Topics; len(got) != 1 || got[0].Partitions != 5 {
		t.Errorf("after growing: got %+v, want 5 partitions", got)
	}
	h.want(200, "DELETE", "/api/v1/topics/orders", "")
	if got := fetch[Topics](h, "/api/v1/topics"); got.Topics == nil || len(got.Topics) != 0 {
		t.Errorf("after deleting: got %+v, want []", got)
	}
}

func TestWrongInputToTopicsIsRefusedWithACode(t *testing.T) {
	h := newBench(t, Config{})
	h.topic("orders", 3)
	const topics = "/api/v1/topics"
	h.wantProblem(409, "exists", "POST", topics, `{"name":"orders"}`)
	h.wantProblem(400, "invalid", "POST", topics, `{"name":"no spaces"}`)
	h.wantProblem(400, "invalid", "POST", topics, `{"name":""}`)
	h.wantProblem(400, "invalid", "POST", topics, `{"name":"x","partitions":-1}`)
	h.wantProblem(400, "invalid", "POST", topics, `{"name":"x","partitons":3}`)
	h.wantProblem(400, "invalid", "POST", topics, `{"name":"x"} {}`)
	h.wantProblem(400, "invalid", "POST", topics, ``)
	h.wantProblem(400, "invalid", "POST", topics, `[`)
	h.wantProblem(400, "invalid", "POST", topics+"/orders/partitions", `{"partitions":3}`)
	h.wantProblem(404, "not_found", "POST", topics+"/nothing/partitions", `{"partitions":3}`)
	h.wantProblem(404, "not_found", "DELETE", topics+"/nothing", ``)
	h.wantProblem(404, "not_found", "GET", "/api/v2/topics", ``)
	h.wantProblem(404, "not_found", "PUT", topics, ``)
	got := h.wantProblem(404, "not_found", "GET", topics+"/ordres", ``)
	want := Problem{Code: "not_found", Message: `no topic named "ordres"`,
		Hint: "did you mean orders?"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestListOfTopicsShowsTheGroupFurthestBehind(t *testing.T) {
	h := newBench(t, Config{})
	orders := h.topic("orders", 1)
	h.topic("quiet", 1)
	h.write(orders, 0, time.Now(), "a", "b", "c")
	h.cursor("billing", orders, 0, 1)
	h.cursor("mail", orders, 0, 3)
	got := fetch[Topics](h, "/api/v1/topics").Topics
	if len(got) != 2 || got[0].Records != 3 || got[0].Groups != 2 || got[0].Lag != 2 ||
		got[0].Bytes == 0 {
		t.Errorf("got %+v, want orders with 3 records, 2 groups, lag 2", got)
	}
	if got[1].Groups != 0 || got[1].Lag != 0 {
		t.Errorf("got %+v, want quiet without groups", got[1])
	}
}

func TestNearestNameIsTheOneMeant(t *testing.T) {
	names := []string{"ledger", "orders", "orders.dlq"}
	got := map[string]string{}
	for _, name := range []string{"legder", "order", "ordersdlq", "payments", "ORDERS"} {
		got[name] = Nearest(name, names)
	}
	want := map[string]string{"legder": "ledger", "order": "orders", "ordersdlq": "orders.dlq",
		"payments": "", "ORDERS": ""}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
