package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/console"
	"github.com/tidings-io/tidings/storage/vfs"
)

func TestManyOrLargeRecordsGoInSeveralRequests(t *testing.T) {
	large, small := strings.Repeat("x", pubBytes*2/3), "y"
	recs := []console.NewRecord{{Value: &large}, {Value: &large}, {Value: &small}, {Value: &large}}
	for range pubRecords + 1 {
		recs = append(recs, console.NewRecord{Value: &small})
	}
	var got []int
	total := 0
	for _, r := range requests(recs) {
		got = append(got, len(r))
		total += len(r)
	}
	if total != len(recs) || len(got) != 4 || got[0] != 1 || got[1] != 2 {
		t.Errorf("got requests of %v records, %d in all, want 1, 2 and the rest of %d", got,
			total, len(recs))
	}
	for _, n := range got {
		if n > pubRecords {
			t.Errorf("a request of %d records, the limit is %d", n, pubRecords)
		}
	}
}

func TestInputIsReadLineByLine(t *testing.T) {
	long := strings.Repeat("z", 200_000)
	for _, c := range []struct {
		flags pubFlags
		in    string
		want  string
	}{
		{pubFlags{input: "lines", partition: -1}, "a\n\nb", "a||b"},
		{pubFlags{input: "lines", partition: -1}, "a\r\nb\r\n", "a|b"},
		{pubFlags{input: "lines", partition: -1}, long + "\nb\n", long + "|b"},
		{pubFlags{input: "one", partition: -1}, "a\nb\n", "a\nb\n"},
		{pubFlags{input: "lines", partition: -1}, "", ""},
		{pubFlags{input: "jsonl", partition: -1}, `{"value":"v"}` + "\n", "v"},
	} {
		var got []string
		err := c.flags.chunks(t.Context(), strings.NewReader(c.in),
			func(recs []console.NewRecord) error {
				for _, r := range recs {
					got = append(got, *r.Value)
				}
				return nil
			})
		if text := strings.Join(got, "|"); err != nil || text != c.want {
			t.Errorf("%.20q: got %.40q, %v, want %.40q", c.in, text, err, c.want)
		}
	}
}

func TestLineBeyondTheLimitIsRefusedWithItsNumber(t *testing.T) {
	in := "ok\n" + strings.Repeat("x", maxInputRecord+1) + "\n"
	var got []console.NewRecord
	err := pubFlags{input: "lines", partition: -1}.chunks(t.Context(), strings.NewReader(in),
		func(recs []console.NewRecord) error {
			got = append(got, recs...)
			return nil
		})
	if err == nil || !strings.HasPrefix(err.Error(), "line 2: ") || len(got) != 1 {
		t.Errorf("got %v after %d records, want line 2 after 1", err, len(got))
	}
}

// fullNode is a broker with topic orders whose disk is full.
func fullNode(t *testing.T) *node {
	t.Helper()
	fs := vfs.NewMem()
	s := devDefaults()
	s.fs = fs
	n := startTestNode(t, s)
	c := newAPIClient(n.admin.Addr().String())
	defer c.Close()
	if err := c.CreateTopic(t.Context(), console.NewTopic{Name: "orders"}); err != nil {
		t.Fatal(err)
	}
	free, total, err := fs.Space()
	if err != nil {
		t.Fatal(err)
	}
	fs.SetCapacity(total - free + 4096)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		switch st, err := c.Storage(ctx); {
		case err != nil:
			t.Fatal(err)
		case st.Full:
			return n
		}
	}
}

func TestUnacknowledgedPublishEndsInTimeByBothClients(t *testing.T) {
	n := fullNode(t)
	for args, want := range map[string]string{
		"--kafka " + n.kafka.Addr().String() + " --timeout 300ms": `topic "orders" did not ` +
			"acknowledge within 300ms: records may be stored, or not\n  look at:      the server's log",
		"--server " + n.admin.Addr().String(): "error: commit: disk nearly full",
	} {
		for _, value := range []string{"x", ""} { // an argument, and standard input
			cmd := append([]string{"pub", "orders"}, strings.Fields(args)...)
			var errOut, out strings.Builder
			a := &app{in: strings.NewReader("line\n"), out: &out, errOut: &errOut, now: time.Now,
				env: func(string) string { return "" }}
			if value != "" {
				cmd = append(cmd, value)
			}
			code := a.run(t.Context(), cmd)
			if !strings.Contains(errOut.String(), want) || code == exitOK || out.Len() > 0 {
				t.Errorf("%v: got exit code %d, %q and %q, want %q", cmd, code, errOut.String(),
					out.String(), want)
			}
			if strings.Contains(args, "--kafka") && code != exitUnmet {
				t.Errorf("%v: got exit code %d, want %d", cmd, code, exitUnmet)
			}
		}
	}
}

func TestInterruptedPublishIsNoNetworkError(t *testing.T) {
	n := fullNode(t)
	k, err := newKafkaClient(t.Context(), []string{n.kafka.Addr().String()}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	value := "x"
	_, err = k.Publish(ctx, "orders", []console.NewRecord{{Value: &value}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestFailedPublishWritesNoDocument(t *testing.T) {
	n := fullNode(t)
	var errOut, out strings.Builder
	a := &app{in: strings.NewReader(""), out: &out, errOut: &errOut, now: time.Now,
		env: func(string) string { return "" }}
	code := a.run(t.Context(), []string{"pub", "orders", "x", "-o", "json", "--server",
		n.admin.Addr().String()})
	if code == exitOK || out.Len() > 0 || !strings.HasPrefix(errOut.String(), `{"error":`) {
		t.Errorf("got exit code %d, stdout %q, stderr %q, want only an error", code, out.String(),
			errOut.String())
	}
}
