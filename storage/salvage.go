package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/tidings-io/tidings/storage/vfs"
)

// salvage is what can be read of a manifest, whole or damaged.
type salvage struct {
	manifest *manifest
	state    map[string][]byte
	damaged  []*Damage
}

// usable says that a checkpoint is known to go on from.
func (v *salvage) usable() bool { return len(v.state["C"]) == checkpointItem }

// readManifest reads the manifest, or what is left of it. Errors: ErrFormat,
// fs.ErrNotExist where there never was one, and those of the disk.
func readManifest(fsys vfs.FS) (*salvage, error) {
	m, state, err := loadManifest(fsys)
	v := &salvage{manifest: m, state: state}
	d := new(Damage)
	switch {
	case err == nil && m != nil && v.usable():
		v.dropMisformed()
		return v, nil
	case err == nil && m != nil:
		d.File = manifestName(m.n)
		v.damaged = append(v.damaged, &Damage{File: d.File, Why: "no checkpoint in it"})
	case errors.As(err, &d):
		v.damaged = append(v.damaged, d)
	case err != nil:
		return nil, err
	default:
		v.damaged = append(v.damaged, &Damage{File: currentName, Why: "it is missing"})
	}
	names, err := manifestNumbers(fsys)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 && d.File == "" && !hasData(fsys) {
		return nil, fmt.Errorf("no data in %s: %w", fsys.Path("."), fs.ErrNotExist)
	}
	return v, v.pick(fsys, names, d.File)
}

func hasData(fsys vfs.FS) bool {
	for _, dir := range []string{journalDir, segmentDir} {
		if names, err := fsys.List(dir); err == nil && len(names) > 0 {
			return true
		}
	}
	return false
}

// manifestNumbers lists the manifests that there are, the newest first.
func manifestNumbers(fsys vfs.FS) (ns []uint64, err error) {
	names, err := fsys.List(".")
	for _, name := range names {
		var n uint64
		if _, err := fmt.Sscanf(name, "MANIFEST-%d", &n); err == nil {
			ns = append(ns, n)
		}
	}
	slices.SortFunc(ns, func(a, b uint64) int { return cmp.Compare(b, a) })
	return ns, err
}

// pick takes what is intact in the newest manifest that has a checkpoint.
func (v *salvage) pick(fsys vfs.FS, ns []uint64, known string) error {
	for _, n := range ns {
		name := manifestName(n)
		p, err := readFile(fsys, name)
		if err != nil {
			return err
		}
		one := &salvage{manifest: &manifest{fs: fsys, n: ns[0]}, state: map[string][]byte{}}
		one.parse(name, p)
		if !one.usable() {
			continue
		}
		one.dropMisformed()
		one.damaged = slices.DeleteFunc(one.damaged, func(d *Damage) bool { return d.File == known })
		one.damaged = append(v.damaged, one.damaged...)
		*v = *one
		return nil
	}
	return nil
}

// parse takes every intact record. The items of an edit that is damaged in part
// are taken as well: what they say was true at some time.
func (v *salvage) parse(name string, p []byte) {
	var group [][]byte
	bad := -1
	for at := 0; at < len(p); {
		payload, last, n, ok := parseRecord(p[at:])
		if !ok {
			if bad < 0 {
				bad = at
			}
			at += manifestAlign
			continue
		}
		if bad >= 0 {
			v.damaged = append(v.damaged, &Damage{File: name, Pos: int64(bad), Len: int64(at - bad),
				Why: "what a checkpoint wrote here cannot be read: keys, sets and logs may be older"})
			bad = -1
		}
		at += n
		if group = append(group, payload); last {
			if err := applyItems(v.state, group); err != nil {
				v.damaged = append(v.damaged, &Damage{File: name, Pos: int64(at - n), Len: int64(n), Why: err.Error()})
			}
			group = nil
		}
	}
}

// dropMisformed drops items that no store can take over, and says so.
func (v *salvage) dropMisformed() {
	scratch := newStore(v.manifest.fs, Config{TailBytes: minTailBytes}.withDefaults())
	for _, kind := range restoreOrder {
		for k, item := range v.state {
			if k[0] != byte(kind) || scratch.restoreItem(k, item) {
				continue
			}
			v.damaged = append(v.damaged, &Damage{File: manifestName(v.manifest.n),
				Why: fmt.Sprintf("item %x is not of its form", k)})
			delete(v.state, k)
		}
	}
}
