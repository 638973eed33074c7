package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidings-io/tidings/console"
	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// damagedData is a data directory with a topic of three large records, the
// second of which is damaged on disk.
func damagedData(t *testing.T) string {
	t.Helper()
	n := startTestNodeOn(t, devDefaults())
	c := newAPIClient(n.admin.Addr().String())
	defer c.Close()
	for i := range 3 {
		value := strings.Repeat(plain(i), 300_000)
		if _, err := c.Publish(t.Context(), "orders",
			[]console.NewRecord{{Value: &value}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	flip(t, n.s.Data, strings.Repeat("1", 1000))
	return n.s.Data
}

// flip changes one byte of a segment in the middle of a text.
func flip(t *testing.T, data, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "seg", "*", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := strings.Index(string(content), text); at >= 0 {
			content[at+len(text)/2] ^= 1
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("the text is in none of %v", files)
}

// says runs a command and checks its exit code and that its output has a text.
func says(t *testing.T, exit int, text string, args ...string) {
	t.Helper()
	cmd := start(t, quietRuntime, args...)
	code, out := cmd.wait(t), cmd.out.String()+cmd.errOut.String()
	if code != exit || !strings.Contains(out, text) {
		t.Errorf("%v: got exit code %d and\n%s\nwant %d and %q", args, code, out, exit, text)
	}
}

func TestDamageIsFoundAndRepaired(t *testing.T) {
	data := damagedData(t)
	says(t, exitFailed, "tidings repair --data "+data, "doctor", "--data", data,
		"--kafka", ":0", "--admin", ":0", "-o", "table")
	says(t, exitFailed, "1 damage in "+data+"; nothing was changed", "repair", "--data", data)
	says(t, exitFailed, "--accept-loss", "repair", "--data", data, "--yes")
	says(t, exitOK, "repaired; the damaged bytes are in "+data+"/quarantine",
		"repair", "--data", data, "--yes", "--accept-loss")
	says(t, exitOK, "nothing to repair", "repair", "--data", data)
	s := devDefaults()
	s.Data = data
	n, err := startNode(t.Context(), withFreePorts(s), discardLog)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	var got []string
	c := newAPIClient(n.admin.Addr().String())
	defer c.Close()
	err = c.Read(t.Context(), readRequest{topic: "orders", from: "start",
		skipped: func(s console.Skipped) { got = append(got, "lost "+plain(s.From)) },
	}, func(r console.Record) error {
		got = append(got, (*r.Value)[:1]+"@"+plain(r.Offset))
		return nil
	})
	if want := "0@0 lost 1 2@2"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
}

func TestDamageThatAReaderMeetsIsLoggedOnce(t *testing.T) {
	s := devDefaults()
	s.Data = damagedData(t)
	var log strings.Builder
	n, err := startNode(t.Context(), withFreePorts(s), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKafkaClient(t.Context(), []string{n.kafka.Addr().String()}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	api := newAPIClient(n.admin.Addr().String())
	defer api.Close()
	for _, c := range []client{api, k, api} {
		err := c.Read(t.Context(), readRequest{topic: "orders", from: "start"},
			func(console.Record) error { return nil })
		if err == nil {
			t.Error("damaged records were read without an error")
		}
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "records are damaged"); got != 1 {
		t.Errorf("logged %d times, want once:\n%s", got, log.String())
	}
	for _, want := range []string{"partition=orders/0 offset=1 file=seg/", "pos=",
		"tidings doctor"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, log.String())
		}
	}
}

func TestDoctorSaysThatTheDiskIsFull(t *testing.T) {
	for _, err := range []error{vfs.ErrNoSpace, storage.ErrFull,
		errors.Join(&os.PathError{Op: "write", Path: "LOCK", Err: syscall.ENOSPC}, nil)} {
		got := diskFailure("cannot keep a store in /d", err)
		if got.Check != "disk space" || got.Status != "failed" || got.Hint != "free some space" ||
			!strings.HasPrefix(got.Detail, "the disk is full: cannot keep a store in /d") {
			t.Errorf("%v: got %+v, want the full disk named", err, got)
		}
	}
	got := diskFailure("cannot keep a store in /d", os.ErrPermission)
	want := finding{Check: "disk", Status: "failed",
		Detail: "cannot keep a store in /d: permission denied"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDamageAtTheStartHasHintsForDamageOnly(t *testing.T) {
	n := startTestNodeOn(t, devDefaults())
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.s.Data, "CURRENT"), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"dev", "serve"} {
		cmd := start(t, quietRuntime, command, "--data", n.s.Data, "--ports", "auto")
		code, lines := cmd.wait(t), strings.Split(strings.TrimSpace(cmd.errOut.String()), "\n")
		want := []string{"  look closer:  tidings doctor --data " + n.s.Data,
			"  repair:       tidings repair --data " + n.s.Data}
		if code != exitFailed || !slices.Equal(lines[1:], want) {
			t.Errorf("%s: got exit code %d, %q, want the hints %q", command, code, lines, want)
		}
	}
}

func TestDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	says(t, exitOK, "nothing there yet", "doctor", "--data", data, "--kafka", ":0", "--admin", ":0")
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("doctor made the data directory: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(data),
		".tidings-doctor-*")); len(left) > 0 {
		t.Errorf("doctor left %v", left)
	}
	n := startTestNode(t, devDefaults())
	says(t, exitOK, "is in use by tidings dev", "doctor", "--data", n.s.Data, "--kafka",
		n.kafka.Addr().String(), "--admin", n.admin.Addr().String())
	other := startTestNode(t, devDefaults())
	says(t, exitFailed, "is in use", "doctor", "--data", n.s.Data, "--kafka",
		other.kafka.Addr().String(), "--admin", other.admin.Addr().String())
}

// TestABackupOfDataThatNobodyUsesStartsNothing: what waits in it, links and topics of SNS, is for a server.
func TestABackupOfDataThatNobodyUsesStartsNothing(t *testing.T) {
	n := startTestNodeOn(t, devDefaults())
	mustCommand(t, n, "create", "orders")
	mustCommand(t, n, "create", "sqs", "jobs")
	mustCommand(t, n, "bind", "topic/orders", "jobs")
	var topic struct{ TopicArn string }
	api := newAPIClient(n.admin.Addr().String())
	defer api.Close()
	if err := api.AWS(t.Context(), "sns", "CreateTopic", map[string]any{"Name": "alerts"}, &topic); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	to := filepath.Join(t.TempDir(), "copy")
	exit, said := command(t, t.Context(), n, &out, "backup", to, "--data", n.s.Data)
	if exit != exitConflict || !strings.Contains(said, "while it runs: tidings backup "+to+" --server ") {
		t.Errorf("of a broker that runs: got %d and %q, want how that is done", exit, said)
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	if exit, said := command(t, t.Context(), n, &out, "backup", to, "--data", n.s.Data); exit != 0 {
		t.Fatalf("exit %d, %s", exit, said)
	}
	s := withFreePorts(devDefaults())
	s.Data = to
	copied, err := startNode(t.Context(), s, discardLog)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.close()
	if _, err := copied.b.Queue("", "jobs"); err != nil {
		t.Error(err)
	}
	if got := copied.b.Links(); len(got) != 1 {
		t.Errorf("links of the copy: %v", got)
	}
}
