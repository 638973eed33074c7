package management

import "testing"

func TestTheMemoryLimitIsBytesOrAShareOfTheMachine(t *testing.T) {
	x := start(t, Config{MachineMemory: 1000})
	const path = "/api/nodes/tidings@localhost/memory-limit"
	for _, c := range []struct {
		body string
		want int64
	}{
		{`{"bytes": 7}`, 7},
		{`{"fraction": 0.4}`, 400},
		{`{"fraction": 0}`, 1}, // everything is above it
	} {
		x.do("PUT", path, c.body, 204)
		if _, got := x.amqp.Memory(); got != c.want {
			t.Errorf("%s: got %d, want %d", c.body, got, c.want)
		}
	}
	for _, body := range []string{`{}`, `{"bytes": 0}`, `{"bytes": -1}`, `{"fraction": 1.5}`, `{"fraction": -1}`,
		`{"bytes": 1, "fraction": 0.5}`, `{"bytes": "many"}`} {
		x.do("PUT", path, body, 400)
	}
	if _, got := x.amqp.Memory(); got != 1 {
		t.Errorf("got %d after what was refused, want 1", got)
	}
	x.do("PUT", "/api/nodes/other/memory-limit", `{"bytes": 7}`, 404)
}

func TestAShareOfUnknownMemoryIsRefused(t *testing.T) {
	x := start(t, Config{})
	x.do("PUT", "/api/nodes/tidings@localhost/memory-limit", `{"fraction": 0.4}`, 501)
	x.do("PUT", "/api/nodes/tidings@localhost/memory-limit", `{"bytes": 7}`, 204)
}
