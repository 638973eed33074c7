package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

func (a *app) repairCommand() *cobra.Command {
	var data string
	var yes, acceptLoss bool
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Check damaged data, and with --yes make it usable again",
		Long: `Read and check everything in a data directory that no broker holds. Without --yes
or --accept-loss nothing is changed. Where acknowledged records are damaged only
--accept-loss helps: the damaged bytes are put aside, never deleted, and the rest can
be used again.`,
		Example: "  tidings repair                           # only looks\n" +
			"  tidings repair --data /var/lib/tidings --accept-loss",
		Args:              between(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if err := mustHoldData(data); err != nil {
				return err
			}
			if !yes && !acceptLoss {
				return a.inspect(data)
			}
			return a.repair(data, storage.RepairOptions{AcceptLoss: acceptLoss})
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&data, "data", "./.tidings", "data directory")
	fs.BoolVar(&yes, "yes", false, "repair what can be repaired without loss")
	fs.BoolVar(&acceptLoss, "accept-loss", false, "give up acknowledged records that are damaged")
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "names of the damaged files only"
	return cmd
}

func (a *app) inspect(data string) error {
	report, err := storage.Inspect(vfs.OS(data))
	if err != nil {
		return storeFailure(err, data)
	}
	if err := a.writeReport(report); err != nil {
		return err
	}
	if len(report.Damage) == 0 {
		a.note("nothing to repair")
		return nil
	}
	return damaged(report, data)
}

// damaged says how to go on with damage that was only looked at.
func damaged(report *storage.Report, data string) error {
	damage := plural(int64(len(report.Damage)), "damage")
	return failed("%s in %s; nothing was changed", damage, data).
		hint("keep a copy", "of "+data+" first, if it matters").
		hint("give up what cannot be read", "tidings repair --data "+data+" --accept-loss")
}

func (a *app) repair(data string, o storage.RepairOptions) error {
	report, err := storage.Repair(vfs.OS(data), o)
	if report == nil {
		return storeFailure(err, data)
	}
	if writeErr := a.writeReport(report); writeErr != nil {
		return writeErr
	}
	var damage *storage.Damage
	switch {
	case errors.As(err, &damage) && !o.AcceptLoss:
		return damaged(report, data)
	case err != nil:
		return storeFailure(err, data)
	case len(report.Damage) == 0:
		a.note("nothing to repair")
		return nil
	}
	a.note("repaired; the damaged bytes are in %s", filepath.Join(data, report.Quarantine))
	a.note("start it with:  tidings serve --data %s", data)
	return nil
}

// lockedFailure names who holds the data, as the lock file says it.
func lockedFailure(err error, data string) *failure {
	_, owner, found := strings.Cut(err.Error(), vfs.ErrLocked.Error()+": ")
	if !found || owner == "" {
		owner = "another process"
	}
	return conflict("the data in %s is in use by %s", data, owner)
}

// storeFailure says what to do about a store that cannot be used.
func storeFailure(err error, data string) error {
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return lockedFailure(err, data).hint("first", "stop that broker")
	case errors.Is(err, storage.ErrDamaged):
		return failed("%s", err).hint("look closer", "tidings repair --data "+data)
	case errors.Is(err, storage.ErrFormat):
		return failed("%s", err).hint("hint", "use the newer tidings that wrote it")
	}
	return err
}

// reportDocument is a report as programs read it.
type reportDocument struct {
	FormatVersion int         `json:"formatVersion"`
	Logs          int         `json:"logs"`
	Segments      int         `json:"segments"`
	Frames        int         `json:"frames"`
	Keys          int         `json:"keys"`
	Bytes         int64       `json:"bytes"`
	Damage        []damageRow `json:"damage"`
	Actions       []string    `json:"actions"`
	Lost          []lostRow   `json:"lost"`
	Quarantine    string      `json:"quarantine"`
}

// lostRow is a range of offsets, up to but not including To, that nobody can
// read any more.
type lostRow struct {
	Log  uint64 `json:"log"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
}

type damageRow struct {
	File string `json:"file"`
	Pos  int64  `json:"pos"`
	Len  int64  `json:"len"`
	Log  uint64 `json:"log"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Why  string `json:"why"`
}

func documentOf(r *storage.Report) reportDocument {
	doc := reportDocument{
		FormatVersion: r.FormatVersion, Logs: r.Logs, Segments: r.Segments, Frames: r.Frames,
		Keys: r.Keys, Bytes: r.Bytes, Damage: []damageRow{}, Actions: notNil(r.Actions),
		Lost: []lostRow{}, Quarantine: r.Quarantine,
	}
	for _, l := range r.Lost {
		doc.Lost = append(doc.Lost, lostRow{uint64(l.Log), int64(l.From), int64(l.To)})
	}
	for _, d := range r.Damage {
		doc.Damage = append(doc.Damage, damageRow{
			File: d.File, Pos: d.Pos, Len: d.Len, Log: uint64(d.Log),
			From: int64(d.From), To: int64(d.To), Why: d.Why,
		})
	}
	return doc
}

// writeReport writes the damage, one row each; on a terminal with a head.
func (a *app) writeReport(r *storage.Report) error {
	doc := documentOf(r)
	if a.form() == "table" && !a.quiet {
		fmt.Fprintf(a.out, "format %d, %s, %s, %s, %s, %s\n", doc.FormatVersion,
			plural(int64(doc.Logs), "log"), plural(int64(doc.Segments), "segment"),
			plural(int64(doc.Frames), "frame"), plural(int64(doc.Keys), "key"), size(doc.Bytes))
		for _, action := range doc.Actions {
			fmt.Fprintf(a.out, "  %s\n", action)
		}
		for _, l := range doc.Lost {
			fmt.Fprintf(a.out, "  lost: offsets %d up to %d of log %d\n", l.From, l.To, l.Log)
		}
	}
	return render(a, listing[damageRow]{
		columns: damageColumns, rows: doc.Damage, doc: doc,
		name: func(d damageRow) string { return d.File },
	})
}

var damageColumns = []column[damageRow]{
	{title: "FILE", show: func(d damageRow) string { return d.File }},
	{title: "POSITION", right: true, show: func(d damageRow) string { return plain(d.Pos) }},
	{title: "BYTES", right: true, show: func(d damageRow) string { return plain(d.Len) }},
	{title: "LOG", right: true, show: func(d damageRow) string { return plain(int64(d.Log)) }},
	{title: "FROM", right: true, show: func(d damageRow) string { return plain(d.From) }},
	{title: "TO", right: true, show: func(d damageRow) string { return plain(d.To) }},
	{title: "WHY", show: func(d damageRow) string { return d.Why }},
}
