package console

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

func TestMetricsCountWhatTheBrokerDid(t *testing.T) {
	m := &Metrics{}
	h := newBench(t, Config{Metrics: m, Now: atNoon, Version: "v1", Listeners: func() []Listener {
		return []Listener{{Name: "kafka", Addr: "127.0.0.1:9092", Connections: 7}}
	}})
	orders := h.topic("orders", 1)
	h.write(orders, 0, noon.Add(-30*time.Second), "a", "b", "c")
	h.cursor("billing", orders, 0, 1)
	h.values("from=start&limit=3")
	h.wait(func() bool { // counts of changes come from the broker's own goroutine
		return m.of(orders).recordsIn.Load() == 3 && m.of(orders).recordsOut.Load() == 3
	})
	status, body := h.get("/metrics")
	for _, want := range []string{
		`tidings_records_in_total{topic="orders"} 3`,
		`tidings_records_out_total{topic="orders"} 3`,
		`tidings_connections{listener="kafka"} 7`,
		`tidings_group_lag_records{group="billing",topic="orders"} 2`,
		`tidings_group_lag_seconds{group="billing",topic="orders"} 29`,
		`tidings_topics 1`,
		`tidings_build_info{version="v1"} 1`,
		`tidings_storage_failed 0`,
		`# TYPE tidings_storage_syncs_total counter`,
		`# TYPE tidings_bytes_in_total counter`,
		`go_goroutines`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("status %d: %q is missing", status, want)
		}
	}
	h.want(200, "DELETE", "/api/v1/topics/orders", "")
	h.topic("orders", 1)
	h.want(200, "GET", "/metrics", "") // a topic made anew is no second series
}

func TestHealthTellsWhyTheStoreFailed(t *testing.T) {
	h := newBench(t, Config{})
	h.topic("orders", 1)
	if got := fetch[Health](h, "/healthz"); got != (Health{Status: "ok"}) {
		t.Errorf("got %+v, want ok", got)
	}
	h.fs.FailFrom(vfs.OpWrite, 1, errors.New("the disk is on fire"))
	h.fs.FailFrom(vfs.OpSync, 1, errors.New("the disk is on fire"))

	h.post("/api/v1/topics/orders/records", `{"records":[{"value":"x"}]}`)
	<-h.b.Failed()
	status, body := h.get("/healthz")
	if status != 503 || !strings.Contains(body, "the disk is on fire") {
		t.Errorf("got %d %s, want 503 and the reason", status, body)
	}
	if got := fetch[Storage](h, "/api/v1/storage").Failed; !strings.Contains(got, "on fire") {
		t.Errorf("storage: got failed %q, want the reason", got)
	}
	h.wantProblem(503, "storage", "POST", "/api/v1/topics/orders/records",
		`{"records":[{"value":"x"}]}`)
}

func TestBackupGoesWhereItIsTold(t *testing.T) {
	var got string
	h := newBench(t, Config{Backup: func(_ context.Context, dir string) error {
		got = dir
		return nil
	}})
	h.want(200, "POST", "/api/v1/backup", `{"dir":"/backups/./one"}`)
	if want := "/backups/one"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	h.wantProblem(400, "invalid", "POST", "/api/v1/backup", `{"dir":"one"}`)
	h = newBench(t, Config{})
	h.wantProblem(501, "unsupported", "POST", "/api/v1/backup", `{"dir":"/backups/one"}`)
}

func TestInfoSaysWhichServerThisIs(t *testing.T) {
	h := newBench(t, Config{Version: "v1.2.3", Data: "/data", Sync: "always"})
	got := fetch[Info](h, "/api/v1")
	if got.Name != "tidings" || got.API != "v1" || got.Version != "v1.2.3" || got.Data != "/data" ||
		got.Sync != "always" || got.ID != h.b.ID().String() || len(got.Listeners) != 1 ||
		got.Listeners[0].Addr != h.s.Addr().String() || got.Listeners[0].Connections < 1 {
		t.Errorf("got %+v", got)
	}
}

func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	h := newBench(t, Config{Limits: Limits{Connections: 2}})
	h.write(h.topic("orders", 1), 0, time.Now(), "a")
	first, leave := h.stream("from=start&follow=true")
	nextLine(t, first)
	second, _ := h.stream("from=start&follow=true")
	nextLine(t, second)
	answered := make(chan int, 1)
	go func() {
		status, _ := h.get("/healthz")
		answered <- status
	}()
	h.wait(func() bool { return len(h.s.ln.(*limited).tokens) == 2 })
	select {
	case status := <-answered:
		t.Errorf("a third connection was served: %d", status)
	default:
	}
	leave()
	if got := <-answered; got != 200 {
		t.Errorf("after one has left: got %d, want 200", got)
	}
}
