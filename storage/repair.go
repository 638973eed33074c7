package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// RepairOptions say what Repair may do.
type RepairOptions struct {
	// AcceptLoss gives up acknowledged records that cannot be read. Without it
	// Repair changes nothing.
	AcceptLoss bool
}

// Repair makes a damaged data directory usable again, which no store may hold.
// With AcceptLoss it
//
//  1. copies all damaged bytes to quarantine/<time>/, with a report.txt
//  2. writes a new manifest from what is intact of a damaged one
//  3. goes on behind journal frames that are missing
//  4. takes damaged entries out of segments: reads pass over the hole
//
// and lists in the report which offsets of which logs are lost. Their offsets are
// not given out again. A crash on the way changes nothing that step 1 does not
// hold; run it again. Without AcceptLoss, and where a manifest holds no
// checkpoint any more, the error is the first *Damage. Other errors: as of Inspect.
func Repair(fsys vfs.FS, o RepairOptions) (*Report, error) {
	lock, err := fsys.Lock(lockName, "tidings repair")
	if err != nil {
		return nil, err
	}
	report, err := repair(fsys, o)
	return report, errors.Join(err, lock.Close())
}

func repair(fsys vfs.FS, o RepairOptions) (*Report, error) {
	in, err := inspect(fsys)
	report := in.reportOf(err)
	if err != nil || len(report.Damage) == 0 {
		return report, err
	}
	if !o.AcceptLoss || !in.manifest.usable() {
		return report, report.Damage[0]
	}
	r := &repairer{fs: fsys, in: in, report: report, rebuild: len(in.manifest.damaged) > 0}
	return report, r.run()
}

// repairer is one Repair that accepts loss. The store it opens tells it, through
// Config.repair, what recovery would otherwise refuse.
type repairer struct {
	fs     vfs.FS
	in     *inspection
	report *Report
	dir    string // quarantine/<time>
	kept   int    // ranges put aside
	// rebuild looks for segments that a damaged manifest does not list.
	rebuild bool
}

func (r *repairer) run() error {
	if err := r.putAside(); err != nil {
		return err
	}
	if r.rebuild {
		if err := r.rewriteManifest(); err != nil {
			return err
		}
	}
	s := newStore(r.fs, Config{manual: true, repair: r}.withDefaults())
	err := s.recover()
	if err == nil {
		err = r.finish(s)
	}
	s.closeFiles()
	if err != nil {
		return err
	}
	for _, l := range r.report.Lost {
		r.did("log %d: the records %d to %d are lost", l.Log, l.From, l.To-1)
	}
	if err := r.writeReport(); err != nil {
		return err
	}
	return r.verify()
}

// finish takes damaged entries out of the segments of a recovered store.
func (r *repairer) finish(s *Store) error {
	for _, l := range s.durableLogs() {
		lost, err := l.cutDamage()
		if err != nil {
			return fmt.Errorf("log %d: %w", l.id, err)
		}
		r.report.Lost = append(r.report.Lost, lost...)
	}
	slices.SortFunc(r.report.Lost, Lost.compare)
	if err := s.checkpoint(true); err != nil {
		return err
	}
	return s.writeMarker()
}

// verify reads everything again: a repaired store must be sound.
func (r *repairer) verify() error {
	in, err := inspect(r.fs)
	if err != nil {
		return err
	}
	if len(in.report.Damage) > 0 {
		return fmt.Errorf("still damaged after the repair: %w", in.report.Damage[0])
	}
	return nil
}

// accepted hears of damage that recovery goes on over.
func (r *repairer) accepted(d *Damage) {
	if d.Log == 0 || d.To <= d.From {
		r.did("went on over %s at byte %d: %s", d.File, d.Pos, d.Why)
		return
	}
	r.report.Lost = append(r.report.Lost, Lost{d.Log, d.From, d.To})
}

func (r *repairer) did(format string, args ...any) {
	r.report.Actions = append(r.report.Actions, fmt.Sprintf(format, args...))
}

func (a Lost) compare(b Lost) int {
	if a.Log != b.Log {
		return int(int64(a.Log) - int64(b.Log))
	}
	return int(a.From - b.From)
}

// rewriteManifest makes a new manifest of what is intact.
func (r *repairer) rewriteManifest() error {
	v := r.in.manifest
	if err := v.addLogsOfFiles(r.fs); err != nil {
		return err
	}
	var e edit
	for k, item := range v.state {
		e.put([]byte(k), item)
	}
	m := &manifest{fs: r.fs, n: v.manifest.n}
	if err := m.rewrite(&e); err != nil {
		return err
	}
	m.close()
	r.did("wrote %s from what is intact of the manifest", manifestName(m.n))
	return nil
}

// writeReport writes or replaces the quarantine's report.txt.
func (r *repairer) writeReport() error {
	var b strings.Builder
	fmt.Fprintf(&b, "tidings repair, %s\n\ndamage found:\n", time.Now().UTC().Format(time.RFC3339))
	for _, d := range r.report.Damage {
		fmt.Fprintf(&b, "  %s, %d bytes\n", d, d.Len)
	}
	b.WriteString("\nwhat was done:\n")
	for _, a := range r.report.Actions {
		fmt.Fprintf(&b, "  %s\n", a)
	}
	return r.write("report.txt", []byte(b.String()))
}
