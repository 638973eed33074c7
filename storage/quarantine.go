package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

const quarantineDir = "quarantine"

// putAside copies every damaged range below quarantine/, before anything changes.
func (r *repairer) putAside() error {
	if err := r.makeDir(); err != nil {
		return err
	}
	for _, d := range r.report.Damage {
		if err := r.copyDamage(d); err != nil {
			return fmt.Errorf("quarantine %s: %w", d.File, err)
		}
	}
	r.report.Quarantine = r.dir
	r.did("put %d damaged ranges aside in %s", r.kept, r.dir)
	if err := r.writeReport(); err != nil {
		return err
	}
	return errors.Join(r.fs.SyncDir(quarantineDir), r.fs.SyncDir("."))
}

// makeDir makes a directory of this moment's name, or with a number behind it.
func (r *repairer) makeDir() error {
	names, err := r.fs.List(quarantineDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now := time.Now().UTC().Format("20060102T150405Z")
	name := now
	for n := 2; slices.Contains(names, name); n++ {
		name = fmt.Sprintf("%s-%d", now, n)
	}
	r.dir = quarantineDir + "/" + name
	return r.fs.MkdirAll(r.dir)
}

// copyDamage copies the bytes of one damage, if there are any; of the manifest
// and CURRENT the whole file.
func (r *repairer) copyDamage(d *Damage) error {
	if d.File == journalDir {
		return nil // a file that is missing
	}
	f, err := r.fs.Open(d.File, vfs.OpenOptions{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	from, to := d.Pos, min(d.Pos+d.Len, size)
	if d.Len == 0 {
		to = size
	}
	if !strings.Contains(d.File, "/") {
		from, to = 0, size
	}
	r.kept++
	name := fmt.Sprintf("%03d-%s@%d", r.kept, strings.ReplaceAll(d.File, "/", "_"), from)
	return r.copyRange(name, f, from, to)
}

func (r *repairer) copyRange(name string, src io.ReaderAt, from, to int64) error {
	dst, err := r.fs.Open(r.dir+"/"+name, vfs.OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return err
	}
	buf := make([]byte, 16*blockSize)
	for at := from; at < to && err == nil; at += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), to-at)]
		readBlocks(src, p, at)
		_, err = dst.WriteAt(p, at-from)
	}
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

// readBlocks reads what the device can read; other blocks are zeros.
func readBlocks(src io.ReaderAt, p []byte, pos int64) {
	for at := 0; at < len(p); at += blockSize {
		block := p[at:min(at+blockSize, len(p))]
		if _, err := src.ReadAt(block, pos+int64(at)); err != nil && !errors.Is(err, io.EOF) {
			clear(block)
		}
	}
}

// write writes a small file into the quarantine.
func (r *repairer) write(name string, p []byte) error {
	f, err := r.fs.Open(r.dir+"/"+name, vfs.OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(p, 0); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), r.fs.SyncDir(r.dir))
}

// keepFile moves a file that nothing refers to into the quarantine.
func (r *repairer) keepFile(name string) error {
	to := r.dir + "/" + strings.ReplaceAll(name, "/", "_")
	if err := r.fs.Rename(name, to); err != nil {
		return err
	}
	r.did("put %s aside: nothing refers to it", name)
	return errors.Join(r.fs.SyncDir(r.dir), r.fs.SyncDir(name[:strings.LastIndexByte(name, '/')]))
}
