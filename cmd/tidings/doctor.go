package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

// finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warning, failed
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

func fine(check, format string, args ...any) finding {
	return finding{Check: check, Status: "ok", Detail: fmt.Sprintf(format, args...)}
}

func warning(check, format string, args ...any) finding {
	return finding{Check: check, Status: "warning", Detail: fmt.Sprintf(format, args...)}
}

func broken(check, format string, args ...any) finding {
	return finding{Check: check, Status: "failed", Detail: fmt.Sprintf(format, args...)}
}

func (f finding) hint(text string) finding {
	f.Hint = text
	return f
}

func (a *app) doctorCommand() *cobra.Command {
	s := devDefaults()
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check data, disk, limits and ports",
		Long: `Check whether a broker can run here, and how well: the data directory (every
checksum, if no broker holds it), the disk and how long a durable write takes, the
limit of open files, the ports. Nothing is changed; the write test uses a file of
its own, beside the data. Exit code 1 if a check failed.`,
		Example:           "  tidings doctor\n  tidings doctor --data /var/lib/tidings -o json",
		Args:              between(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.Kafka.Listen = withPort(s.Kafka.Listen, "9092")
			s.Admin.Listen = withPort(s.Admin.Listen, "7070")
			return a.doctor(cmd.Context(), s)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&s.Data, "data", s.Data, "data directory")
	fs.StringVar(&s.Kafka.Listen, "kafka", s.Kafka.Listen, "address to be free for Kafka clients")
	fs.StringVar(&s.Admin.Listen, "admin", s.Admin.Listen, "address to be free for the admin API")
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "names of the checks only"
	return cmd
}

func (a *app) doctor(ctx context.Context, s settings) error {
	findings := []finding{checkFormat(s.Data)}
	findings = append(findings, checkDisk(ctx, s.Data)...)
	findings = append(findings, checkOpenFiles(), a.checkPort(ctx, "kafka port", s.Kafka.Listen, s),
		a.checkPort(ctx, "admin port", s.Admin.Listen, s))
	err := render(a, listing[finding]{
		columns: a.findingColumns(), rows: findings,
		doc:  map[string][]finding{"findings": findings},
		name: func(f finding) string { return f.Check },
	})
	if err != nil {
		return err
	}
	if a.form() == "table" {
		for _, f := range findings {
			if f.Hint != "" {
				a.note("  %s: %s", f.Check, f.Hint)
			}
		}
	}
	if slices.ContainsFunc(findings, func(f finding) bool { return f.Status == "failed" }) {
		return failed("not everything is well")
	}
	return nil
}

func (a *app) findingColumns() []column[finding] {
	colours := map[string]style{"failed": red, "warning": yellow}
	return []column[finding]{
		{title: "CHECK", show: func(f finding) string { return f.Check }},
		{title: "STATUS", show: func(f finding) string { return f.Status },
			style: func(f finding) style { return colours[f.Status] }},
		{title: "DETAIL", show: func(f finding) string { return f.Detail }},
	}
}

// checkFormat reads and checks the whole data directory, unless a broker holds it.
func checkFormat(data string) finding {
	const check = "data"
	if mustHoldData(data) != nil {
		return fine(check, "%s: nothing there yet", data)
	}
	report, err := storage.Inspect(vfs.OS(data))
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return fine(check, "%s", lockedFailure(err, data)).
			hint("stop the broker to have every checksum checked")
	case errors.Is(err, storage.ErrFormat):
		return broken(check, "%s", err).hint("use the newer tidings that wrote it")
	case err != nil:
		return broken(check, "%s", err).hint("tidings repair --data " + data)
	case len(report.Damage) > 0:
		return broken(check, "%s: %s, the first: %s", data,
			plural(int64(len(report.Damage)), "damage"), report.Damage[0]).
			hint("tidings repair --data " + data)
	}
	return fine(check, "%s: format %d, %s, %s, %s, every checksum right",
		data, report.FormatVersion, plural(int64(report.Logs), "log"),
		plural(int64(report.Frames), "journal frame"), size(report.Bytes))
}

// checkDisk opens a store of its own beside the data and measures durable writes.
func checkDisk(ctx context.Context, data string) []finding {
	parent := existingParent(data)
	dir, err := os.MkdirTemp(parent, ".tidings-doctor-")
	if err != nil {
		return []finding{diskFailure("cannot write in "+parent, err)}
	}
	defer os.RemoveAll(dir)
	// Before the store of this check takes its share.
	free, total, spaceErr := vfs.OS(dir).Space()
	st, err := storage.Open(vfs.OS(dir), storage.Config{Owner: "tidings doctor"})
	if err != nil {
		return []finding{diskFailure("cannot keep a store in "+parent, err)}
	}
	defer st.Close()
	took, err := durableWrites(ctx, st)
	if err != nil {
		return []finding{diskFailure("a durable write in "+parent, err)}
	}
	stats := st.Stats()
	if spaceErr == nil {
		stats.DiskFree, stats.DiskTotal = free, total
	}
	return []finding{checkSpace(stats), checkWrites(took), checkDirect(stats)}
}

// diskFailure says that the disk is full where that is why.
func diskFailure(what string, err error) finding {
	if errors.Is(err, vfs.ErrNoSpace) || errors.Is(err, storage.ErrFull) ||
		errors.Is(err, syscall.ENOSPC) {
		return broken("disk space", "the disk is full: %s: %s", what, rootCause(err)).
			hint("free some space")
	}
	return broken("disk", "%s: %s", what, err)
}

// existingParent is the nearest directory above data that exists: on the disk
// that the data will be on.
func existingParent(data string) string {
	dir := filepath.Dir(filepath.Clean(data))
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir
		}
		dir = up
	}
}

// doctorWrites is how many durable writes are measured, one after the other.
const doctorWrites = 50

func durableWrites(ctx context.Context, st *storage.Store) ([]time.Duration, error) {
	var b storage.Batch
	log := st.NewLog(&b, storage.LogOptions{})
	var took []time.Duration
	for i := range doctorWrites + 1 {
		b.Append(log, storage.Entry{Count: 1, Bytes: make([]byte, 1024)})
		start := time.Now()
		seq, err := st.Submit(&b)
		if err == nil {
			err = st.Await(ctx, seq)
		}
		if err != nil {
			return nil, err
		}
		if b.Reset(); i > 0 { // the first write also sets things up
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	return took, nil
}

func checkSpace(st storage.Stats) finding {
	detail := fmt.Sprintf("%s free of %s", size(st.DiskFree), size(st.DiskTotal))
	switch {
	case st.Full:
		return broken("disk space", "%s: producers would be pushed back", detail).
			hint("free some space")
	case st.DiskFree < 1e9:
		return warning("disk space", "%s", detail).hint("less than 1 GB is soon used up")
	}
	return fine("disk space", "%s", detail)
}

func checkWrites(took []time.Duration) finding {
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	detail := fmt.Sprintf("1 KiB durable in %s (p50), %s (p99)",
		p50.Round(time.Microsecond), p99.Round(time.Microsecond))
	if p50 > 20*time.Millisecond {
		return warning("durable write", "%s", detail).
			hint("a slow disk: many producers at once still share each write")
	}
	return fine("durable write", "%s", detail)
}

func checkDirect(st storage.Stats) finding {
	if st.DirectIO {
		return fine("direct I/O", "the journal bypasses the page cache")
	}
	return fine("direct I/O", "not on this file system: the journal uses fdatasync instead")
}

func checkOpenFiles() finding {
	const check, want = "open files", 1024
	limit, ok := openFileLimit()
	switch {
	case !ok:
		return fine(check, "this system has no such limit")
	case limit < want:
		return warning(check, "limit %d", limit).
			hint("each connection and segment needs one: ulimit -n 65536")
	}
	return fine(check, "limit %s", count(int64(min(limit, 1<<62))))
}

// checkPort is fine if the port is free, or if it is the broker on this data
// that has it.
func (a *app) checkPort(ctx context.Context, check, addr string, s settings) finding {
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		ln.Close()
		return fine(check, "%s is free", addr)
	}
	if a.ownServer(ctx, s) {
		return fine(check, "%s is held by the broker on this data", addr)
	}
	if !addressInUse(err) {
		return broken(check, "%s", err)
	}
	return broken(check, "%s", portInUse(addr)).hint("tidings dev --ports auto")
}

// ownServer reports whether the server that answers serves this data.
func (a *app) ownServer(ctx context.Context, s settings) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c := newAPIClient(s.Admin.Listen)
	defer c.Close()
	info, err := c.Info(ctx)
	return err == nil && info.Data == s.dataPath()
}
