package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
	"github.com/tidings-io/tidings/storage"
	"github.com/tidings-io/tidings/storage/vfs"
)

func (a *app) backupCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy all data into a new directory, while the broker runs",
		Long: `Copy all data of the running broker into DIR, which must be empty or not exist, on
the broker's machine. It goes on serving. With --data the data of a broker that does
not run is copied. The copy is a data directory: tidings serve --data DIR uses it.`,
		Example: "  tidings backup /backups/2026-01-31\n" +
			"  tidings backup /backups/offline --data ./.tidings",
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if data != "" {
				return a.backupOffline(cmd.Context(), data, dir)
			}
			return a.backupOnline(cmd.Context(), dir)
		},
	}
	cmd.Flags().StringVar(&data, "data", "",
		"copy the data in this directory, that no broker holds")
	cmd.Flags().StringVar(&a.target.server, "server", "",
		"admin API to speak to, host:port (default $TIDINGS_SERVER or 127.0.0.1:7070)")
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "the directory only"
	return cmd
}

func (a *app) backupOnline(ctx context.Context, dir string) error {
	c := newAPIClient(a.serverAddr())
	defer c.Close()
	if _, err := c.Info(ctx); err != nil {
		return withHint(err, "not running", "tidings backup "+dir+" --data ./.tidings")
	}
	doc, err := c.Backup(ctx, dir)
	if err != nil {
		return err
	}
	return a.backedUp(doc)
}

func withHint(err error, label, text string) error {
	var f *failure
	if errors.As(err, &f) {
		return f.hint(label, text)
	}
	return err
}

func (a *app) backupOffline(ctx context.Context, data, dir string) error {
	if err := mustHoldData(data); err != nil {
		return err
	}
	start := a.now()
	// The store alone: a broker would go on with what waits in it, links and delays.
	st, err := storage.Open(vfs.OS(data), storage.Config{Owner: "tidings backup"})
	if errors.Is(err, vfs.ErrLocked) {
		return lockedFailure(err, data).hint("while it runs", "tidings backup "+dir+" --server host:port of its admin API")
	}
	if err != nil {
		return storeFailure(err, data)
	}
	err = errors.Join(backupInto(ctx, st, dir), st.Close())
	if err != nil {
		return err
	}
	return a.backedUp(console.BackedUp{Dir: dir, Seconds: a.now().Sub(start).Seconds()})
}

func (a *app) backedUp(doc console.BackedUp) error {
	a.note("copied in %s; use it with:  tidings serve --data %s",
		time.Duration(doc.Seconds*float64(time.Second)).Round(time.Millisecond), doc.Dir)
	return render(a, listing[console.BackedUp]{
		rows: []console.BackedUp{doc}, doc: doc,
		name: func(b console.BackedUp) string { return b.Dir },
		columns: []column[console.BackedUp]{
			{title: "DIRECTORY", show: func(b console.BackedUp) string { return b.Dir }},
			{title: "TOOK", show: func(b console.BackedUp) string { return seconds(b.Seconds) },
				raw: func(b console.BackedUp) string { return rawSeconds(b.Seconds) }},
		},
	})
}

// mustHoldData refuses a directory that was never a data directory: opening it
// would make it one.
func mustHoldData(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() == "CURRENT" || strings.HasPrefix(e.Name(), "MANIFEST-") {
			return nil
		}
	}
	return &failure{exit: exitNotFound, code: "not_found", msg: "no data in " + dir}
}
