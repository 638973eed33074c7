package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// The promises of FS and File, for every implementation. Each gets a new, empty
// file system.
var promises = []struct {
	name string
	test func(t *testing.T, f FS)
}{
	{"what was written is read back", testReadBack},
	{"reading past the end is io.EOF", testPastEnd},
	{"open says what is wrong", testOpenErrors},
	{"truncating empties or cuts", testTruncate},
	{"a closed or read-only file is not written", testNotWritable},
	{"names cannot leave the root", testEscape},
	{"directories are made, listed and removed", testDirectories},
	{"rename replaces a file", testRename},
	{"allocate grows a file with zeros", testAllocate},
	{"a hole reads as zeros and keeps the length", testPunchHole},
	{"direct files need alignment", testDirect},
	{"a lock excludes others and names its holder", testLock},
	{"a lock needs a directory", testLockErrors},
	{"syncs succeed", testSyncs},
	{"space is positive", testSpace},
}

func TestImplementationsKeepThePromises(t *testing.T) {
	implementations := map[string]func(t *testing.T) FS{
		"OS":          func(t *testing.T) FS { return OS(t.TempDir()) },
		"Mem":         func(*testing.T) FS { return NewMem() },
		"crashed Mem": func(*testing.T) FS { return NewMem().Crash(seeded(1)) },
		"killed Mem":  func(*testing.T) FS { return NewMem().Kill() },
		"Faulty OS":   func(t *testing.T) FS { return NewFaulty(OS(t.TempDir())) },
		"Faulty Mem":  func(*testing.T) FS { return NewFaulty(NewMem()) },
	}
	for name, open := range implementations {
		for _, p := range promises {
			t.Run(name+"/"+p.name, func(t *testing.T) { p.test(t, open(t)) })
		}
	}
}

func testReadBack(t *testing.T, f FS) {
	file := create(t, f, "a")
	write(t, file, 3, "abc")
	write(t, file, 9000, "xyz")
	write(t, file, 4, "B")
	want := slices.Concat([]byte("\x00\x00\x00aBc"), make([]byte, 8994), []byte("xyz"))
	equalBytes(t, content(t, f, "a"), want)
	if n, err := file.Size(); n != 9003 || err != nil {
		t.Errorf("Size() = %d, %v; want 9003", n, err)
	}
	write(t, file, 20000, "")
	if n, _ := file.Size(); n != 9003 {
		t.Errorf("Size() = %d after writing nothing; want 9003", n)
	}
}

func testPastEnd(t *testing.T, f FS) {
	file := create(t, f, "a")
	write(t, file, 0, "abc")
	for _, c := range []struct {
		off  int64
		len  int
		want int
		err  error
	}{{0, 3, 3, nil}, {0, 4, 3, io.EOF}, {2, 9, 1, io.EOF}, {3, 1, 0, io.EOF}, {99, 1, 0, io.EOF}} {
		n, err := file.ReadAt(make([]byte, c.len), c.off)
		if n != c.want || c.err != nil && err != c.err || c.err == nil && err != nil && err != io.EOF {
			t.Errorf("read %d at %d = %d, %v; want %d, %v", c.len, c.off, n, err, c.want, c.err)
		}
	}
	if _, err := file.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("read at -1: got %v, want an error", err)
	}
}

func testOpenErrors(t *testing.T, f FS) {
	must(t, f.MkdirAll("dir"))
	create(t, f, "file")
	for _, c := range []struct {
		name string
		o    OpenOptions
		want error
	}{
		{"missing", OpenOptions{}, fs.ErrNotExist},
		{"missing", OpenOptions{Write: true, Truncate: true}, fs.ErrNotExist},
		{"missing/file", OpenOptions{Write: true, Create: true}, fs.ErrNotExist},
		{"file/below", OpenOptions{Write: true, Create: true}, nil},
		{"dir", OpenOptions{Write: true}, nil},
		{"file", OpenOptions{Create: true}, fs.ErrInvalid},
		{"file", OpenOptions{Truncate: true}, fs.ErrInvalid},
	} {
		_, err := f.Open(c.name, c.o)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("open %q with %+v: got %v, want %v", c.name, c.o, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), c.name) {
			t.Errorf("%q does not name %s", err, c.name)
		}
	}
}

func testTruncate(t *testing.T, f FS) {
	file := create(t, f, "a")
	write(t, file, 0, strings.Repeat("x", 10000))
	must(t, file.Truncate(5000))
	must(t, file.Truncate(5002))
	want := append(bytes.Repeat([]byte("x"), 5000), 0, 0)
	equalBytes(t, content(t, f, "a"), want)
	if err := file.Truncate(-1); err == nil {
		t.Error("a negative length was accepted")
	}
	again, err := f.Open("a", OpenOptions{Write: true, Create: true, Truncate: true})
	must(t, err)
	defer again.Close()
	equalBytes(t, content(t, f, "a"), nil)
}

func testNotWritable(t *testing.T, f FS) {
	file := create(t, f, "a")
	write(t, file, 0, "kept")
	reader, err := f.Open("a", OpenOptions{})
	must(t, err)
	if _, err := reader.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a file opened for reading was written")
	}
	must(t, reader.Close())
	must(t, file.Close())
	_, writeErr := file.WriteAt([]byte("x"), 0)
	_, readErr := file.ReadAt([]byte("x"), 0)
	for _, err := range []error{writeErr, readErr, file.Sync(), file.Close()} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("on a closed file: got %v, want %v", err, fs.ErrClosed)
		}
	}
	equalBytes(t, content(t, f, "a"), []byte("kept"))
}

func testEscape(t *testing.T, f FS) {
	create(t, f, "a")
	for _, name := range []string{"..", "../x", "/x", "a/../../x", "x\x00y"} {
		_, openErr := f.Open(name, OpenOptions{Write: true, Create: true})
		_, listErr := f.List(name)
		_, lockErr := f.Lock(name, "")
		for _, err := range []error{openErr, listErr, lockErr, f.Remove(name), f.RemoveAll(name),
			f.Rename(name, "b"), f.Rename("a", name), f.MkdirAll(name), f.SyncDir(name)} {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%q: got %v, want %v", name, err, fs.ErrInvalid)
			}
		}
	}
	equalNames(t, f, ".", "a")
	for _, err := range []error{f.Remove("."), f.RemoveAll("."), f.RemoveAll("x/..")} {
		if !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("removing the root: got %v, want %v", err, fs.ErrInvalid)
		}
	}
	must(t, f.MkdirAll("d"))
	must(t, f.Rename("a", "./d//../d/b"))
	equalNames(t, f, "d", "b")
}

func testDirectories(t *testing.T, f FS) {
	equalNames(t, f, ".")
	must(t, f.MkdirAll("x/y/z"))
	must(t, f.MkdirAll("x/y"))
	for _, name := range []string{"x/c", "x/a", "x/b", "x/y/deep"} {
		create(t, f, name)
	}
	equalNames(t, f, "x", "a", "b", "c", "y")
	must(t, f.Remove("x/b"))
	must(t, f.Remove("x/y/z"))
	equalNames(t, f, "", "x")
	equalNames(t, f, "x", "a", "c", "y")
	if err := f.Remove("x"); err == nil {
		t.Error("a directory that is not empty was removed")
	}
	if err := f.MkdirAll("x/a/b"); err == nil {
		t.Error("a directory was made below a file")
	}
	must(t, f.RemoveAll("x"))
	must(t, f.RemoveAll("x"))
	equalNames(t, f, ".")
	_, listErr := f.List("x")
	for _, err := range []error{listErr, f.Remove("x"), f.SyncDir("x"), f.Rename("x", "y")} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("on a missing directory: got %v, want %v", err, fs.ErrNotExist)
		}
	}
}

func testRename(t *testing.T, f FS) {
	must(t, f.MkdirAll("d"))
	for _, name := range []string{"a", "b", "d/c"} {
		file := create(t, f, name)
		write(t, file, 0, "was "+name)
		must(t, file.Close())
	}
	must(t, f.Rename("a", "a"))
	must(t, f.Rename("a", "b"))
	equalBytes(t, content(t, f, "b"), []byte("was a"))
	must(t, f.Rename("b", "d/c"))
	equalBytes(t, content(t, f, "d/c"), []byte("was a"))
	equalNames(t, f, ".", "d")
	if err := f.Rename("d/c", "d"); err == nil {
		t.Error("a file replaced a directory")
	}
	if err := f.Rename("d", "d/e"); err == nil {
		t.Error("a directory moved below itself")
	}
	must(t, f.Rename("d", "e"))
	equalNames(t, f, "e", "c")
}

func testAllocate(t *testing.T, f FS) {
	file := create(t, f, "a")
	write(t, file, 0, "abc")
	err := file.Allocate(0, 10000)
	if errors.Is(err, ErrUnsupported) {
		equalBytes(t, content(t, f, "a"), []byte("abc"))
		return
	}
	must(t, err)
	must(t, file.Allocate(1, 5))
	must(t, file.Allocate(20000, 0))
	equalBytes(t, content(t, f, "a"), append([]byte("abc"), make([]byte, 9997)...))
	if err := file.Allocate(-1, 5); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("allocate at -1: got %v, want %v", err, fs.ErrInvalid)
	}
}

func testPunchHole(t *testing.T, f FS) {
	file := create(t, f, "a")
	want := bytes.Repeat([]byte("x"), 20000)
	write(t, file, 0, string(want))
	err := file.PunchHole(4000, 9000)
	if !errors.Is(err, ErrUnsupported) {
		must(t, err)
		must(t, file.PunchHole(19999, 9000))
		must(t, file.PunchHole(0, 0))
		clear(want[4000:13000])
		clear(want[19999:])
	}
	equalBytes(t, content(t, f, "a"), want)
}

func testDirect(t *testing.T, f FS) {
	file, err := f.Open("a", OpenOptions{Write: true, Create: true, Direct: true})
	if errors.Is(err, ErrUnsupported) {
		return
	}
	must(t, err)
	defer file.Close()
	block := AlignedBuffer(2 * BlockSize)
	copy(block[BlockSize:], "hello")
	if _, err = file.WriteAt(block, BlockSize); errors.Is(err, ErrUnsupported) {
		return
	}
	must(t, err)
	refuseUnaligned(t, file)
	must(t, file.Truncate(2*BlockSize+100))
	got := AlignedBuffer(4 * BlockSize)
	n, err := file.ReadAt(got, BlockSize)
	if n != BlockSize+100 || err != io.EOF {
		t.Errorf("read across the end = %d, %v; want %d, EOF", n, err, BlockSize+100)
	}
	equalBytes(t, got[:n], block[:n])
	equalBytes(t, content(t, f, "a")[BlockSize:], block[:n])
}

func refuseUnaligned(t *testing.T, file File) {
	t.Helper()
	b := AlignedBuffer(2 * BlockSize)
	for name, c := range map[string]struct {
		p   []byte
		off int64
	}{
		"offset": {b, 512}, "length": {b[:100], 0}, "memory": {b[8 : BlockSize+8], 0},
	} {
		_, writeErr := file.WriteAt(c.p, c.off)
		_, readErr := file.ReadAt(c.p, c.off)
		if !errors.Is(writeErr, ErrUnsupported) || !errors.Is(readErr, ErrUnsupported) {
			t.Errorf("unaligned %s: write %v, read %v; want %v", name, writeErr, readErr, ErrUnsupported)
		}
	}
}

func testLock(t *testing.T, f FS) {
	first, err := f.Lock("LOCK", "pid 4121, a rather long name of the first holder")
	must(t, err)
	_, err = f.Lock("LOCK", "pid 4122")
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "pid 4121") {
		t.Errorf("second lock: got %v, want %v naming pid 4121", err, ErrLocked)
	}
	other, err := f.Lock("OTHER", "pid 4121")
	must(t, err)
	must(t, other.Close())
	must(t, first.Close())
	second, err := f.Lock("LOCK", "pid 4122")
	must(t, err)
	equalBytes(t, content(t, f, "LOCK"), []byte("pid 4122"))
	must(t, second.Close())
	equalNames(t, f, ".", "LOCK", "OTHER")
}

func testLockErrors(t *testing.T, f FS) {
	if _, err := f.Lock("missing/LOCK", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock in a missing directory: got %v, want %v", err, fs.ErrNotExist)
	}
	must(t, f.MkdirAll("dir"))
	if _, err := f.Lock("dir", ""); err == nil {
		t.Error("a directory was locked as a file")
	}
}

func testSyncs(t *testing.T, f FS) {
	must(t, f.MkdirAll("d"))
	file := create(t, f, "d/a")
	write(t, file, 0, "abc")
	must(t, file.Flush(0, 0))
	must(t, file.Flush(0, 3))
	must(t, file.Sync())
	must(t, f.SyncDir("d"))
	must(t, f.SyncDir("."))
	if err := f.SyncAll(); err != nil && !errors.Is(err, ErrUnsupported) {
		t.Errorf("SyncAll: %v", err)
	}
	equalBytes(t, content(t, f, "d/a"), []byte("abc"))
}

func testSpace(t *testing.T, f FS) {
	free, total, err := f.Space()
	if err != nil || free <= 0 || total < free {
		t.Errorf("Space() = %d, %d, %v; want 0 < free <= total", free, total, err)
	}
	if p := f.Path("a/b"); !strings.HasSuffix(strings.ReplaceAll(p, `\`, "/"), "/a/b") {
		t.Errorf("Path(a/b) = %q", p)
	}
}

func TestAlignedBufferIsAligned(t *testing.T) {
	for _, n := range []int{0, 1, 512, BlockSize, 10000} {
		b := AlignedBuffer(n)
		if len(b) != n || cap(b) != n || n > 0 && address(b)%BlockSize != 0 {
			t.Errorf("AlignedBuffer(%d): length %d, capacity %d, address %#x", n, len(b), cap(b), address(b))
		}
	}
}

// create makes an empty file that is closed when the test ends.
func create(t *testing.T, f FS, name string) File {
	t.Helper()
	file, err := f.Open(name, OpenOptions{Write: true, Create: true})
	must(t, err)
	t.Cleanup(func() { _ = file.Close() }) // the test may have closed it
	return file
}

func write(t *testing.T, file File, off int64, text string) {
	t.Helper()
	n, err := file.WriteAt([]byte(text), off)
	if n != len(text) || err != nil {
		t.Fatalf("write of %d bytes at %d = %d, %v", len(text), off, n, err)
	}
}

func content(t *testing.T, f FS, name string) []byte {
	t.Helper()
	file, err := f.Open(name, OpenOptions{})
	must(t, err)
	defer file.Close()
	size, err := file.Size()
	must(t, err)
	p := make([]byte, size)
	if n, err := file.ReadAt(p, 0); n != len(p) || err != nil && err != io.EOF {
		t.Fatalf("read of %d bytes = %d, %v", size, n, err)
	}
	return p
}

func equalBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Fatalf("got %d bytes, want %d; they differ from byte %d on: got %.20q, want %.20q",
		len(got), len(want), i, got[i:], want[i:])
}

func equalNames(t *testing.T, f FS, dir string, want ...string) {
	t.Helper()
	got, err := f.List(dir)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
