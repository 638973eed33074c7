package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// prepareData refuses a directory that holds something else. Where there is no
// data yet it looks at the ports first, so that a start that cannot succeed
// leaves no directory behind.
func (s *settings) prepareData() error {
	entries, err := os.ReadDir(s.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return failed("data directory: %s", err)
	case slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "CURRENT" }):
		return nil
	}
	if foreign := foreignEntries(entries); len(foreign) > 0 {
		return conflict("%s is no data directory: it holds %s", s.Data, someOf(foreign)).
			hint("an own one", "tidings "+s.command+" --data "+
				shellWord(filepath.Join(s.Data, "tidings")))
	}
	return s.checkPorts()
}

// foreignEntries are the names in a directory that no store puts there. A first
// start that was killed leaves some of its own, and no CURRENT yet.
func foreignEntries(entries []fs.DirEntry) (names []string) {
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == "LOCK", name == "lost+found",
			e.IsDir() && (name == "journal" || name == "seg" || name == "quarantine"),
			strings.HasPrefix(name, "MANIFEST-"), strings.HasPrefix(name, "CURRENT"):
		default:
			names = append(names, name)
		}
	}
	return names
}

func someOf(names []string) string {
	if len(names) == 1 {
		return quote(names[0])
	}
	return quote(names[0]) + " and " + plain(len(names)-1) + " more"
}
