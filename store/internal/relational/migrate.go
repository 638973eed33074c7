package relational

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations
var migrations embed.FS

// migration is one file, such as 0001_inbox.sql: a table or several, and later what changes them. A
// file that has been released never changes.
type migration struct {
	version    int
	name       string
	statements []string
}

// Migrate makes the tables, and changes them to what this version of the library needs. It may run
// at any time, also in several processes at once: it does nothing where nothing is missing.
func (c *Core[Tx]) Migrate(ctx context.Context) error {
	all, err := c.migrations()
	if err != nil {
		return err
	}
	if c.dialect == SQLite { // PostgreSQL makes it under the lock, SQLite locks by it
		if err := c.firstOfAll(ctx); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	err = c.transact(ctx, func(tx Tx) error { return c.migrate(ctx, c.db.In(tx), all) })
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// openings is how often more a new file of SQLite is opened while others have it locked, with
// pauses from a millisecond on that double: for a second in all.
const openings = 10

// firstOfAll makes the table of versions. While another process changes a new file to WAL mode,
// SQLite refuses to open it, and waits for nothing.
func (c *Core[Tx]) firstOfAll(ctx context.Context) error {
	for i := 0; ; i++ {
		_, err := c.db.Exec(ctx, c.sql(versions))
		if err == nil || i == openings || !isLocked(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Millisecond << i):
		}
	}
}

// isLocked says whether an error is SQLITE_BUSY: its text is what all drivers have in common.
func isLocked(err error) bool { return strings.Contains(err.Error(), "database is locked") }

const versions = `create table if not exists {p}schema_version (version integer primary key, name text not null)`

func (c *Core[Tx]) migrate(ctx context.Context, s Session, all []migration) error {
	for _, text := range append(slices.Clone(c.dialect.lock), versions) {
		if _, err := s.Exec(ctx, c.sql(text)); err != nil {
			return err
		}
	}
	there, err := c.versions(ctx, s)
	if err != nil {
		return err
	}
	for _, m := range all {
		if there[m.version] {
			continue
		}
		for _, text := range m.statements {
			if _, err := s.Exec(ctx, text); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return nil
}

func (c *Core[Tx]) versions(ctx context.Context, s Session) (map[int]bool, error) {
	there := map[int]bool{}
	err := s.Query(ctx, c.sql(`select version from {p}schema_version`), nil, func(scan Scan) error {
		var v int
		err := scan(&v)
		there[v] = true
		return err
	})
	return there, err
}

// Schema is the SQL that Migrate runs in an empty database, for tools that do it instead.
func (c *Core[Tx]) Schema() (string, error) {
	all, err := c.migrations()
	if err != nil {
		return "", err
	}
	text := c.sql(versions) + ";\n"
	for _, m := range all {
		text += "\n-- " + m.name + "\n" + strings.Join(m.statements, ";\n") + ";\n"
	}
	return text, nil
}

// migrations are the files of the dialect by version, each with a last statement that notes it.
func (c *Core[Tx]) migrations() (all []migration, err error) {
	dir := "migrations/" + c.dialect.name
	files, err := migrations.ReadDir(dir) // sorted by name, and so by version
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := migrations.ReadFile(dir + "/" + f.Name())
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(f.Name(), ".sql")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("migration %s has no number: %w", f.Name(), err)
		}
		note := fmt.Sprintf("\ninsert into {p}schema_version (version, name) values (%d, '%s')", version, name)
		m := migration{version: version, name: name}
		for text := range strings.SplitSeq(c.sql(string(text)+note), ";\n") {
			m.statements = append(m.statements, strings.TrimSpace(text))
		}
		all = append(all, m)
	}
	return all, nil
}
