package console

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

func TestLagIsInRecordsAndInSeconds(t *testing.T) {
	h := newBench(t, Config{Now: atNoon})
	orders := h.topic("orders", 2)
	h.write(orders, 0, noon.Add(-10*time.Second), "a", "b", "c") // 10, 9 and 8 seconds old
	h.write(orders, 1, noon.Add(-60*time.Second), "d")
	h.cursor("billing", orders, 0, 1)
	h.cursor("billing", orders, 1, 1)
	h.cursor("mail", orders, 0, 3)
	h.cursor("mail", orders, 1, 0)
	got := fetch[Lags](h, "/api/v1/lag").Lag
	want := []Lag{
		{Group: "billing", Topic: "orders", Partitions: 2, Lag: 2, LagSeconds: 9},
		{Group: "mail", Topic: "orders", Partitions: 2, Lag: 1, LagSeconds: 60},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := fetch[Lags](h, "/api/v1/lag?group=mail&topic=orders").Lag; !reflect.DeepEqual(got,
		want[1:]) {
		t.Errorf("one group: got %+v, want %+v", got, want[1:])
	}
	h.wantProblem(404, "not_found", "GET", "/api/v1/lag?group=nobody", "")
	h.wantProblem(404, "not_found", "GET", "/api/v1/lag?topic=nothing", "")
}

func TestPartitionsWithoutACursorCountFromTheirStart(t *testing.T) {
	metrics := &Metrics{}
	h := newBench(t, Config{Now: atNoon, Metrics: metrics})
	orders := h.topic("orders", 3)
	h.write(orders, 0, noon.Add(-5*time.Second), "a", "b")
	h.write(orders, 1, noon.Add(-30*time.Second), "c")
	h.write(orders, 1, noon.Add(-20*time.Second), "d", "e")
	if _, err := orders.Partition(1).Trim(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	h.write(h.topic("other", 1), 0, noon, "never read")
	h.cursor("half", orders, 0, 2)
	wantLag := []Lag{{Group: "half", Topic: "orders", Partitions: 1, Lag: 2, LagSeconds: 20}}
	if got := fetch[Lags](h, "/api/v1/lag").Lag; !reflect.DeepEqual(got, wantLag) {
		t.Errorf("lag: got %+v, want %+v", got, wantLag)
	}
	got := fetch[GroupDetail](h, "/api/v1/groups/half")
	got.Cursors[0].Committed = time.Time{}
	want := []Cursor{{Topic: "orders", Offset: 2, End: 2},
		{Topic: "orders", Partition: 1, Offset: -1, Start: 1, End: 3, Lag: 2, LagSeconds: 20},
		{Topic: "orders", Partition: 2, Offset: -1}}
	if !reflect.DeepEqual(got.Cursors, want) || got.Lag != 2 {
		t.Errorf("group: got %+v with lag %d, want %+v with 2", got.Cursors, got.Lag, want)
	}
	if got := fetch[Groups](h, "/api/v1/groups").Groups[0].Lag; got != 2 {
		t.Errorf("groups: got lag %d, want 2", got)
	}
	if got := fetch[Topics](h, "/api/v1/topics").Topics[0].Lag; got != 2 {
		t.Errorf("topics: got lag %d, want 2", got)
	}
	text := h.want(200, "GET", "/metrics", "")
	if want := `tidings_group_lag_records{group="half",topic="orders"} 2`; !strings.Contains(text,
		want) {
		t.Errorf("metrics: want %s", want)
	}
	plan := h.reset("half", `{"to":"end"}`).Changes
	if len(plan) != 3 || plan[1] != (Change{Topic: "orders", Partition: 1, From: -1, To: 3}) {
		t.Errorf("reset: got %+v, want all three partitions", plan)
	}
}

func TestDeletedRecordsAreNoLag(t *testing.T) {
	h := newBench(t, Config{Now: atNoon})
	orders := h.topic("orders", 1)
	h.write(orders, 0, noon.Add(-5*time.Second), "a")
	h.write(orders, 0, noon.Add(-4*time.Second), "b")
	h.cursor("billing", orders, 0, 0)
	if _, err := orders.Partition(0).Trim(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	got := fetch[GroupDetail](h, "/api/v1/groups/billing").Cursors
	got[0].Committed = time.Time{}
	want := []Cursor{{Topic: "orders", Start: 1, End: 2, Lag: 1, LagSeconds: 4}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestGroupShowsWhatItsFaceKnows(t *testing.T) {
	live := []LiveGroup{{Name: "billing", Protocol: "consumer", State: "Stable", Members: []Member{{
		ID: "m-1", Client: "app", Host: "10.0.0.1",
		Assigned: []Assigned{{Topic: "orders", Partitions: []int{1}}}}}}}
	face := &testFace{live: live}
	h := newBench(t, Config{Now: atNoon, Groups: face})
	face.b = h.b
	orders := h.topic("orders", 2)
	h.cursor("billing", orders, 1, 0)
	h.cursor("a/b c", orders, 0, 0)
	got := fetch[GroupDetail](h, "/api/v1/groups/billing")
	got.Cursors[1].Committed = time.Time{}
	want := GroupDetail{
		Group: Group{Name: "billing", State: "Stable", Protocol: "consumer", Members: 1,
			Topics: 1},
		MemberList: live[0].Members,
		Cursors: []Cursor{{Topic: "orders", Offset: -1},
			{Topic: "orders", Partition: 1, Member: "m-1"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := fetch[GroupDetail](h, "/api/v1/groups/a%2Fb%20c"); got.Name != "a/b c" ||
		got.State != "Empty" {
		t.Errorf("got %+v, want the empty group a/b c", got)
	}
	h.wantProblem(409, "conflict", "DELETE", "/api/v1/groups/billing", "")
	h.wantProblem(409, "conflict", "POST", "/api/v1/groups/billing/reset",
		`{"to":"start","apply":true}`)
	h.want(200, "POST", "/api/v1/groups/billing/reset", `{"to":"start"}`) // a plan hurts nobody
	h.want(200, "DELETE", "/api/v1/groups/a%2Fb%20c", "")
	if got := fetch[Groups](h, "/api/v1/groups").Groups; len(got) != 1 {
		t.Errorf("after deleting: got %+v, want one group", got)
	}
}

// testFace is a face with groups that have members.
type testFace struct {
	noFace
	live []LiveGroup
}

func (f *testFace) Groups() []LiveGroup { return f.live }

func (h *bench) reset(group, body string) ResetPlan {
	h.t.Helper()
	var plan ResetPlan
	answer := h.want(200, "POST", "/api/v1/groups/"+group+"/reset", body)
	if err := json.Unmarshal([]byte(answer), &plan); err != nil {
		h.t.Fatal(err)
	}
	return plan
}

func TestResetChangesNothingUnlessToldTo(t *testing.T) {
	h := newBench(t, Config{Now: atNoon})
	orders := h.topic("orders", 2)
	h.write(orders, 0, noon.Add(-10*time.Second), "a", "b", "c")
	h.cursor("billing", orders, 0, 3)
	offset := func() broker.Offset {
		g, err := h.b.Group("", "billing")
		if err != nil {
			t.Fatal(err)
		}
		cur, _ := g.Cursor("orders", 0)
		return cur.Offset
	}
	want := ResetPlan{Group: "billing", Changes: []Change{
		{Topic: "orders", Partition: 0, From: 3, To: 1, Lag: 2},
		{Topic: "orders", Partition: 1, From: -1}}}
	if got := h.reset("billing", `{"to":"-9s"}`); !reflect.DeepEqual(got, want) || offset() != 3 {
		t.Errorf("dry run: got %+v with cursor %d, want %+v with cursor 3", got, offset(), want)
	}
	want.Applied = true
	if got := h.reset("billing", `{"to":"-9s","apply":true}`); !reflect.DeepEqual(got, want) ||
		offset() != 1 {
		t.Errorf("applied: got %+v with cursor %d, want %+v with cursor 1", got, offset(), want)
	}
	got := h.reset("billing", `{"to":"end","topic":"orders","apply":true}`).Changes
	wantBoth := []Change{{Topic: "orders", From: 1, To: 3}, {Topic: "orders", Partition: 1}}
	if !reflect.DeepEqual(got, wantBoth) {
		t.Errorf("whole topic: got %+v, want %+v", got, wantBoth)
	}
}

func TestWrongResetsAreRefused(t *testing.T) {
	h := newBench(t, Config{})
	orders := h.topic("orders", 2)
	h.cursor("billing", orders, 0, 0)
	h.wantProblem(404, "not_found", "POST", "/api/v1/groups/nobody/reset", `{"to":"start"}`)
	h.wantProblem(404, "not_found", "POST", "/api/v1/groups/billing/reset",
		`{"to":"start","topic":"x"}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/groups/billing/reset", `{"to":"there"}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/groups/billing/reset",
		`{"to":"start","partitions":[7]}`)
	h.wantProblem(416, "out_of_range", "POST", "/api/v1/groups/billing/reset", `{"to":"5"}`)
}

func TestNewGroupGetsItsFirstCursors(t *testing.T) {
	h := newBench(t, Config{})
	h.topic("orders", 2)
	got := h.reset("fresh", `{"to":"start","topic":"orders","apply":true}`).Changes
	want := []Change{{Topic: "orders", From: -1}, {Topic: "orders", Partition: 1, From: -1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := fetch[GroupDetail](h, "/api/v1/groups/fresh").Cursors; len(got) != 2 {
		t.Errorf("got %+v, want two cursors", got)
	}
}
