package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/tidings-io/tidings/storage/vfs"
)

// The manifest is the state at the last checkpoint: a map of keys to values,
// kept as an append-only file of edits. CURRENT names the file in use. Keys:
//
//	'C'                 -> sequence 8, next log 8, next set 8, time 8, journal epoch 8
//	'L' log 8           -> start 8, end 8 (at least), segment bytes 8
//	'S' log 8, base 8   -> end 8, length 8, max time 8, begin 8, sealed 1
//	'H' log 8, from 8   -> to 8: offsets whose records Repair gave up
//	'T' set 8           -> floor 8
//	'P' set 8, page 8   -> bitmap 512, or nothing for a full page
//	'K' key             -> value
//
// Numbers in keys are big endian, in values little endian. An edit is one or
// more records, each at a multiple of 64 bytes; it counts once its last record
// is there:
//
//	0 magic 4   4 payload bytes 4   8 CRC of 12.. 4   12 flags 1 (1: last)   13 zero 3
//	16 items: op 1 (1 put, 2 delete), key length 2, value length 4, key, value
const (
	segmentItem    = 33         // bytes of an 'S' value
	manifestMagic  = 0x464d4454 // "TDMF"
	manifestHead   = 16
	manifestAlign  = 64
	manifestRecord = 1 << 20 // an edit is split into records of about this
	itemHead       = 7
	itemPut        = 1
	itemDelete     = 2
)

type manifest struct {
	fs   vfs.FS
	n    uint64
	f    vfs.File
	off  int64
	base int64 // bytes after the last rewrite
}

func manifestName(n uint64) string { return fmt.Sprintf("MANIFEST-%06d", n) }

// edit gathers items of one checkpoint.
type edit struct{ items []byte }

func (e *edit) put(key, value []byte) { e.item(itemPut, key, value) }
func (e *edit) delete(key []byte)     { e.item(itemDelete, key, nil) }

func (e *edit) item(op byte, key, value []byte) {
	e.items = append(e.items, op)
	e.items = le.AppendUint16(e.items, uint16(len(key)))
	e.items = le.AppendUint32(e.items, uint32(len(value)))
	e.items = append(e.items, key...)
	e.items = append(e.items, value...)
}

func itemSize(p []byte) (int, error) {
	if len(p) < itemHead {
		return 0, fmt.Errorf("item cut short: %d bytes", len(p))
	}
	n := itemHead + int(le.Uint16(p[1:])) + int(le.Uint32(p[3:]))
	if n > len(p) {
		return 0, fmt.Errorf("item of %d bytes in %d", n, len(p))
	}
	return n, nil
}

// records encodes the edit.
func (e *edit) records() []byte {
	var out []byte
	rest := e.items
	for first := true; first || len(rest) > 0; first = false {
		n := 0
		for n < len(rest) && n < manifestRecord {
			size, err := itemSize(rest[n:])
			if err != nil {
				panic("storage: " + err.Error()) // we encoded it above
			}
			n += size
		}
		out = appendRecord(out, rest[:n], n == len(rest))
		rest = rest[n:]
	}
	return out
}

func appendRecord(out, payload []byte, last bool) []byte {
	at := len(out)
	out = append(out, make([]byte, manifestHead)...)
	le.PutUint32(out[at:], manifestMagic)
	le.PutUint32(out[at+4:], uint32(len(payload)))
	if last {
		out[at+12] = 1
	}
	out = append(out, payload...)
	le.PutUint32(out[at+8:], checksum(out[at+12:]))
	for len(out)%manifestAlign != 0 {
		out = append(out, 0)
	}
	return out
}

// parseRecord returns a record's payload and its whole length, which is beyond p
// where a file was cut short within the padding.
func parseRecord(p []byte) (payload []byte, last bool, total int, ok bool) {
	if len(p) < manifestHead || le.Uint32(p) != manifestMagic {
		return nil, false, 0, false
	}
	n := int(le.Uint32(p[4:]))
	if n > len(p)-manifestHead || le.Uint32(p[8:]) != checksum(p[12:manifestHead+n]) {
		return nil, false, 0, false
	}
	total = (manifestHead + n + manifestAlign - 1) &^ (manifestAlign - 1)
	return p[manifestHead : manifestHead+n], p[12] == 1, total, true
}

// parseManifest folds a manifest file into a map and returns the length of
// what counts. Bytes after it are a checkpoint that was never completed,
// unless a whole record follows them: then what lies between is damaged.
func parseManifest(name string, p []byte) (state map[string][]byte, used int64, err error) {
	state = map[string][]byte{}
	var group [][]byte
	at, done := 0, 0
	for at < len(p) {
		payload, last, n, ok := parseRecord(p[at:])
		if !ok {
			break
		}
		group = append(group, payload)
		at += n
		if !last {
			continue
		}
		if err := applyItems(state, group); err != nil {
			return nil, 0, &Damage{File: name, Pos: int64(done), Len: int64(at - done), Why: err.Error()}
		}
		group, done = nil, at
	}
	for q := at + manifestAlign; q < len(p); q += manifestAlign {
		if _, _, _, ok := parseRecord(p[q:]); ok {
			return nil, 0, &Damage{File: name, Pos: int64(at), Len: int64(q - at),
				Why: "a record that is not the last does not carry its checksum"}
		}
	}
	return state, int64(done), nil
}

func applyItems(state map[string][]byte, group [][]byte) error {
	for _, p := range group {
		for len(p) > 0 {
			n, err := itemSize(p)
			if err != nil {
				return err
			}
			k := itemHead + int(le.Uint16(p[1:]))
			key := string(p[itemHead:k])
			if key == "" || p[0] != itemPut && p[0] != itemDelete {
				return fmt.Errorf("item of operation %d with the key %q", p[0], key)
			}
			if p[0] == itemPut {
				state[key] = p[k:n]
			} else {
				delete(state, key)
			}
			p = p[n:]
		}
	}
	return nil
}

// loadManifest reads the manifest that CURRENT names; nil if there is none.
func loadManifest(fsys vfs.FS) (*manifest, map[string][]byte, error) {
	cur, err := readFile(fsys, currentName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	m := &manifest{fs: fsys}
	var version int
	if _, err := fmt.Sscanf(string(cur), currentText, &version, &m.n); err != nil {
		return nil, nil, &Damage{File: currentName, Len: int64(len(cur)), Why: "it does not name a manifest"}
	}
	if version != formatVersion {
		return nil, nil, fmt.Errorf("%w: data of version %d, this program knows %d", ErrFormat, version, formatVersion)
	}
	p, err := readFile(fsys, manifestName(m.n))
	if err != nil {
		return nil, nil, &Damage{File: manifestName(m.n), Why: err.Error()}
	}
	state, used, err := parseManifest(manifestName(m.n), p)
	if err != nil {
		return nil, nil, err
	}
	m.off, m.base = used, used
	return m, state, nil
}

// currentText is the content of CURRENT: format version and manifest number.
const currentText = "tidings format %d manifest %d\n"

// open makes the manifest writable, cutting off what does not count.
func (m *manifest) open() (err error) {
	if m.f, err = m.fs.Open(manifestName(m.n), vfs.OpenOptions{Write: true}); err != nil {
		return err
	}
	return m.f.Truncate(m.off)
}

// commit appends an edit and has it on the device.
func (m *manifest) commit(e *edit) error {
	p := e.records()
	if _, err := m.f.WriteAt(p, m.off); err != nil {
		// Whole records among what was written would count as soon as a shorter
		// edit stands in front of them.
		if cut := m.f.Truncate(m.off); cut != nil {
			return synced(errors.Join(err, cut))
		}
		return err
	}
	if err := m.f.Sync(); err != nil {
		return synced(err)
	}
	m.off += int64(len(p))
	return nil
}

// grown says that a rewrite would at least halve the file.
func (m *manifest) grown() bool { return m.off > 2*m.base+1<<20 }

// rewrite begins a new file with the whole state and makes it the current one.
func (m *manifest) rewrite(e *edit) error {
	next := &manifest{fs: m.fs, n: m.n + 1}
	f, err := m.fs.Open(manifestName(next.n), vfs.OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return err
	}
	next.f = f
	if err := next.commit(e); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := next.publish(); err != nil {
		return errors.Join(err, f.Close())
	}
	old := *m
	*m = *next
	m.base = m.off
	if old.f == nil {
		return nil
	}
	return errors.Join(old.f.Close(), m.fs.Remove(manifestName(old.n)))
}

// publish points CURRENT at this file.
func (m *manifest) publish() error {
	if err := m.fs.SyncDir("."); err != nil {
		return synced(err)
	}
	const tmp = currentName + ".new"
	f, err := m.fs.Open(tmp, vfs.OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, currentText, formatVersion, m.n), 0)
	if err == nil {
		err = synced(f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := m.fs.Rename(tmp, currentName); err != nil {
		return err
	}
	return synced(m.fs.SyncDir("."))
}

func (m *manifest) close() {
	if m.f != nil {
		_ = m.f.Close() // every commit was synced
	}
}

// removeOld deletes manifests that are not the current one.
func (m *manifest) removeOld() error {
	names, err := m.fs.List(".")
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST-") && name != manifestName(m.n) {
			if err := m.fs.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}
