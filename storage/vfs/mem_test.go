package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

const crashes = 1000

// outcomes crashes m many times, and returns how often each text came out.
func outcomes(m *Mem, look func(left *Mem) string) map[string]int {
	seen := map[string]int{}
	for seed := range uint64(crashes) {
		seen[look(m.Crash(seeded(seed)))]++
	}
	return seen
}

// only fails the test unless exactly the wanted outcomes came out, each at least
// once: what must not happen never does, and what may happen does.
func only(t *testing.T, seen map[string]int, want ...string) {
	t.Helper()
	for text := range seen {
		if !slices.Contains(want, text) {
			t.Errorf("%d times %q, which must not happen", seen[text], text)
		}
	}
	for _, text := range want {
		if seen[text] == 0 {
			t.Errorf("%q never came out of %d crashes", text, crashes)
		}
	}
}

func text(name string) func(*Mem) string {
	return func(m *Mem) string {
		if b := m.Bytes(name); b != nil {
			return string(b)
		}
		return "missing"
	}
}

// onDisk returns a file system with one file, synced with its directory.
func onDisk(t *testing.T, name, content string) (*Mem, File) {
	t.Helper()
	m := NewMem()
	file := create(t, m, name)
	write(t, file, 0, content)
	must(t, file.Sync())
	must(t, m.SyncDir("."))
	return m, file
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	m, file := onDisk(t, "a", "one")
	only(t, outcomes(m, text("a")), "one")
	write(t, file, 3, "two")
	must(t, m.SyncAll())
	only(t, outcomes(m, text("a")), "onetwo")
	must(t, file.Truncate(4))
	must(t, file.Sync())
	only(t, outcomes(m, text("a")), "onet")
}

func TestCrashMayLoseEachUnsyncedWrite(t *testing.T) {
	m, file := onDisk(t, "a", "one")
	write(t, file, 3, "two")
	write(t, file, 6, "six")
	// A write that is kept behind one that is not leaves zeros between them; so
	// does one whose length was written and whose data was not.
	only(t, outcomes(m, text("a")), "one", "onetwo", "onetwosix",
		"one\x00\x00\x00six", "onetwo\x00\x00\x00", "one\x00\x00\x00", "one\x00\x00\x00\x00\x00\x00")
	equalBytes(t, m.Bytes("a"), []byte("onetwosix"))
}

func TestCrashMayLoseUnsyncedTruncationsAndHoles(t *testing.T) {
	m, file := onDisk(t, "a", "abcdef")
	must(t, file.Truncate(2))
	only(t, outcomes(m, text("a")), "abcdef", "ab")
	m, file = onDisk(t, "a", "abcdef")
	must(t, file.PunchHole(1, 2))
	only(t, outcomes(m, text("a")), "abcdef", "a\x00\x00def")
	m, file = onDisk(t, "a", "abc")
	must(t, file.Allocate(0, 4))
	only(t, outcomes(m, text("a")), "abc", "abc\x00")
}

// A file of three sectors and a bit that is overwritten from inside its first sector.
func TestTornWritesMixWholeSectors(t *testing.T) {
	const size, from = 3*sectorSize + 99, 100
	m, file := onDisk(t, "a", strings.Repeat("o", size))
	write(t, file, from, strings.Repeat("n", size-from))
	seen := outcomes(m, func(left *Mem) string { return sectors(t, left.Bytes("a"), from) })
	mixed, zeroed := 0, 0
	for states, n := range seen {
		if strings.Contains(states, "n") && strings.Contains(states, "o") {
			mixed += n
		}
		if strings.Contains(states, "0") {
			zeroed += n
		}
	}
	if seen["nnnn"] == 0 || seen["oooo"] == 0 || seen["nnoo"] < 15 || mixed < 100 || zeroed < 40 {
		t.Errorf("new %d, old %d, a first part %d, mixed %d, with zeros %d",
			seen["nnnn"], seen["oooo"], seen["nnoo"], mixed, zeroed)
	}
}

// sectors tells of each sector whether its overwritten part is new, old or zero.
func sectors(t *testing.T, b []byte, from int) (states string) {
	t.Helper()
	equalBytes(t, b[:from], bytes.Repeat([]byte("o"), from))
	for at := from; at < len(b); at += sectorSize - at%sectorSize {
		part := b[at:min(len(b), at+sectorSize-at%sectorSize)]
		if len(bytes.Trim(part, string(part[:1]))) > 0 {
			t.Fatalf("the sector at %d is torn itself: %q", at, part)
		}
		states += strings.ReplaceAll(string(part[:1]), "\x00", "0")
	}
	return states
}

func TestDirectWriteSurvivesACrash(t *testing.T) {
	m, file := onDisk(t, "a", "")
	write(t, file, 0, strings.Repeat("b", 2*BlockSize))
	direct := openDirect(t, m, "a")
	block := AlignedBuffer(BlockSize)
	copy(block, "direct")
	_, err := direct.WriteAt(block, 0)
	must(t, err)
	first := func(left *Mem) string { return string(left.Bytes("a")[:6]) }
	only(t, outcomes(m, first), "direct") // Though an unsynced write covers it.
	must(t, file.Sync())
	only(t, outcomes(m, first), "direct")
}

func openDirect(t *testing.T, f FS, name string) File {
	t.Helper()
	file, err := f.Open(name, OpenOptions{Write: true, Direct: true})
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func TestPowerCutTearsADirectWrite(t *testing.T) {
	m, _ := onDisk(t, "a", strings.Repeat("o", BlockSize))
	direct := openDirect(t, m, "a")
	block := AlignedBuffer(BlockSize)
	copy(block, bytes.Repeat([]byte("n"), BlockSize))
	m.CutAfter(1)
	if n, err := direct.WriteAt(block, 0); n != 0 || !errors.Is(err, ErrPowerCut) {
		t.Errorf("the interrupted write = %d, %v; want 0, %v", n, err, ErrPowerCut)
	}
	seen := outcomes(m, func(left *Mem) string { return sectors(t, left.Bytes("a"), 0) })
	if seen["nnnnnnnn"] == 0 || seen["oooooooo"] == 0 || len(seen) < 20 {
		t.Errorf("whole %d, none %d, outcomes %d; want all, and torn ones",
			seen["nnnnnnnn"], seen["oooooooo"], len(seen))
	}
}

func TestFileWithoutSyncedDirectoryMayBeLost(t *testing.T) {
	m := NewMem()
	file := create(t, m, "a")
	write(t, file, 0, "synced")
	must(t, file.Sync())
	only(t, outcomes(m, text("a")), "synced", "missing")
	must(t, m.SyncDir("."))
	only(t, outcomes(m, text("a")), "synced")
}

func TestDirectoryWithoutSyncedParentMayBeLost(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("x/y"))
	must(t, create(t, m, "x/y/a").Sync())
	must(t, m.SyncDir("x/y"))
	must(t, m.SyncDir("."))
	names := func(left *Mem) string { return strings.Join(left.Names(), " ") }
	only(t, outcomes(m, names), "", "x/y/a")
	must(t, m.SyncDir("x"))
	only(t, outcomes(m, names), "x/y/a")
}

func TestUnsyncedRenameMayBeLost(t *testing.T) {
	m, _ := onDisk(t, "a", "new")
	write(t, create(t, m, "b"), 0, "old")
	must(t, m.SyncAll())
	must(t, m.SyncDir("."))
	must(t, m.Rename("a", "b"))
	both := func(left *Mem) string { return text("a")(left) + " " + text("b")(left) }
	only(t, outcomes(m, both), "new old", "missing new")
	must(t, m.SyncDir("."))
	only(t, outcomes(m, both), "missing new")
}

func TestUnsyncedRemovalMayBeLost(t *testing.T) {
	m, _ := onDisk(t, "a", "here")
	must(t, m.Remove("a"))
	only(t, outcomes(m, text("a")), "here", "missing")
	must(t, m.SyncDir("."))
	only(t, outcomes(m, text("a")), "missing")
}

func TestDirectoryChangesSurviveInOrder(t *testing.T) {
	m := NewMem()
	for _, name := range []string{"a", "b", "c"} {
		create(t, m, name)
	}
	must(t, m.Remove("b"))
	names := func(left *Mem) string { return strings.Join(left.Names(), "") }
	only(t, outcomes(m, names), "", "a", "ab", "abc", "ac")
}

func TestRenameToAnotherDirectoryNeverLosesTheFile(t *testing.T) {
	moved := func(t *testing.T) *Mem {
		m := NewMem()
		must(t, m.MkdirAll("x"))
		must(t, m.MkdirAll("y"))
		must(t, create(t, m, "x/a").Sync())
		must(t, m.SyncDir("."))
		must(t, m.SyncDir("x"))
		create(t, m, "y/b")
		must(t, m.Rename("x/a", "y/c"))
		return m
	}
	names := func(left *Mem) string { return strings.Join(left.Names(), " ") }
	m := moved(t)
	only(t, outcomes(m, names), "x/a", "x/a y/b", "x/a y/b y/c", "y/b y/c")
	must(t, m.SyncDir("x"))
	only(t, outcomes(m, names), "y/b y/c")
	m = moved(t)
	must(t, m.SyncDir("y"))
	only(t, outcomes(m, names), "x/a y/b y/c", "y/b y/c")
}

func TestCrashIsRepeatableAndLeavesTheOriginal(t *testing.T) {
	m := NewMem()
	for i := range 20 {
		write(t, create(t, m, fmt.Sprint("file", i)), 0, strings.Repeat("x", 3000))
	}
	describe := func(m *Mem) (all string) {
		for _, name := range m.Names() {
			all += fmt.Sprintf("%s %q\n", name, m.Bytes(name))
		}
		return all
	}
	before := describe(m)
	first := m.Crash(seeded(7))
	if again := m.Crash(seeded(7)); describe(first) != describe(again) {
		t.Error("the same seed left different files")
	}
	for _, name := range first.Names() {
		write(t, create(t, first, name), 0, "changed")
		must(t, first.Remove(name))
	}
	if describe(m) != before {
		t.Error("a change of the crashed file system reached the original")
	}
}

func TestCrashedFileSystemCrashesAgain(t *testing.T) {
	m, _ := onDisk(t, "a", "one")
	again := m.Crash(seeded(1))
	write(t, create(t, again, "a"), 0, "two")
	create(t, again, "b")
	only(t, outcomes(again, text("a")), "one", "two", "\x00\x00\x00")
	only(t, outcomes(again, text("b")), "", "missing")
}

func TestKillKeepsEverythingWrittenAndFreesLocks(t *testing.T) {
	m, file := onDisk(t, "a", "one")
	write(t, file, 3, "two")
	must(t, m.MkdirAll("d"))
	write(t, create(t, m, "d/b"), 0, "unsynced")
	_, err := m.Lock("LOCK", "the killed one")
	must(t, err)
	left := m.Kill()
	equalBytes(t, left.Bytes("a"), []byte("onetwo"))
	equalBytes(t, left.Bytes("d/b"), []byte("unsynced"))
	lock, err := left.Lock("LOCK", "the next one")
	must(t, err)
	must(t, lock.Close())
	write(t, create(t, left, "a"), 0, "ONE")
	equalBytes(t, m.Bytes("a"), []byte("onetwo"))
	// What was unsynced still is: the kill did not sync it.
	only(t, outcomes(left, text("d/b")), "missing", "", "unsynced", strings.Repeat("\x00", 8))
}

func TestPowerCutStopsEveryCall(t *testing.T) {
	m, file := onDisk(t, "a", "one")
	m.CutAfter(0)
	_, openErr := m.Open("a", OpenOptions{})
	_, readErr := file.ReadAt(make([]byte, 1), 0)
	_, writeErr := file.WriteAt([]byte("x"), 0)
	_, sizeErr := file.Size()
	_, listErr := m.List(".")
	_, lockErr := m.Lock("LOCK", "")
	_, _, spaceErr := m.Space()
	for i, err := range []error{openErr, readErr, writeErr, sizeErr, listErr, lockErr, spaceErr,
		file.Sync(), file.Truncate(0), file.Allocate(0, 1), file.PunchHole(0, 1), file.Flush(0, 1),
		m.SyncDir("."), m.SyncAll(), m.Remove("a"), m.RemoveAll("a"), m.Rename("a", "b"),
		m.MkdirAll("d")} {
		if !errors.Is(err, ErrPowerCut) {
			t.Errorf("call %d: got %v, want %v", i, err, ErrPowerCut)
		}
	}
	must(t, file.Close())
	only(t, outcomes(m, text("a")), "one")
}

// The script syncs each step before the next one, so a cut in step n may do what it
// likes with step n only.
func TestPowerCutAtEveryCallOfAScript(t *testing.T) {
	script := func(m *Mem) (done int) {
		file, err := m.Open("a", OpenOptions{Write: true, Create: true})
		if err != nil || m.SyncDir(".") != nil {
			return 0
		}
		for ; done < 5; done++ {
			_, err := file.WriteAt([]byte{byte('0' + done)}, int64(done))
			if err != nil || file.Sync() != nil {
				break
			}
		}
		return done
	}
	whole := NewMem()
	script(whole)
	if whole.Mutations() != 12 {
		t.Fatalf("the script makes %d mutating calls, want 12", whole.Mutations())
	}
	for n := 1; n <= 12; n++ {
		m := NewMem()
		m.CutAfter(n)
		done := script(m)
		for got := range outcomes(m, func(left *Mem) string { return string(left.Bytes("a")) }) {
			if !strings.HasPrefix(got, "01234"[:done]) || len(got) > done+1 {
				t.Errorf("cut in call %d: %q is left of %d confirmed bytes", n, got, done)
			}
		}
		if n < 12 && done == 5 {
			t.Errorf("cut in call %d: the script did not notice", n)
		}
	}
}

func TestFullDeviceTakesWhatFits(t *testing.T) {
	m := NewMem()
	m.SetCapacity(4 * BlockSize)
	file := create(t, m, "a")
	n, err := file.WriteAt(bytes.Repeat([]byte("x"), 6*BlockSize), 100)
	if n != 4*BlockSize-100 || !errors.Is(err, ErrNoSpace) {
		t.Errorf("write = %d, %v; want %d, %v", n, err, 4*BlockSize-100, ErrNoSpace)
	}
	equalSpace(t, m, 0)
	write(t, file, 0, strings.Repeat("y", 4*BlockSize)) // Overwriting takes no space.
	if err := create(t, m, "b").Allocate(0, 1); !errors.Is(err, ErrNoSpace) {
		t.Errorf("allocate: got %v, want %v", err, ErrNoSpace)
	}
	must(t, file.PunchHole(0, 2*BlockSize+1))
	equalSpace(t, m, 2)
	must(t, file.Truncate(3*BlockSize))
	equalSpace(t, m, 3)
	equalSpace(t, m.Kill(), 3)
	must(t, m.Remove("a"))
	equalSpace(t, m, 3) // It is still open.
	must(t, file.Close())
	equalSpace(t, m, 4)
}

func equalSpace(t *testing.T, m *Mem, blocks int64) {
	t.Helper()
	free, total, err := m.Space()
	if free != blocks*BlockSize || total != 4*BlockSize || err != nil {
		t.Errorf("Space() = %d, %d, %v; want %d blocks free", free, total, err, blocks)
	}
}

func TestReplacedAndRemovedFilesGiveSpaceBack(t *testing.T) {
	m := NewMem()
	m.SetCapacity(4 * BlockSize)
	must(t, m.MkdirAll("d/e"))
	for _, name := range []string{"a", "b", "d/e/c"} {
		file := create(t, m, name)
		write(t, file, 0, "x")
		must(t, file.Close())
	}
	equalSpace(t, m, 1)
	must(t, m.Rename("a", "b"))
	equalSpace(t, m, 2)
	must(t, m.RemoveAll("d"))
	equalSpace(t, m, 3)
	equalSpace(t, m.Crash(seeded(0)), 4-int64(len(m.Crash(seeded(0)).Names())))
}

func TestCorruptIsOnTheDisk(t *testing.T) {
	m, file := onDisk(t, "a", "abcdef")
	write(t, file, 0, "uvwxyz")
	must(t, m.Corrupt("a", 1, []byte("??")))
	equalBytes(t, m.Bytes("a"), []byte("u??xyz"))
	only(t, outcomes(m, text("a")), "a??def", "u??xyz", "\x00??\x00\x00\x00")
	if err := m.Corrupt("a", 5, []byte("??")); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("beyond the end: got %v, want %v", err, fs.ErrInvalid)
	}
	if err := m.Corrupt("b", 0, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: got %v, want %v", err, fs.ErrNotExist)
	}
}

// Random calls on a file agree with the same calls on a slice, before a sync,
// after it, and after a crash.
func TestFileAgreesWithASlice(t *testing.T) {
	const limit = 5 * BlockSize
	for seed := range uint64(200) {
		rng := seeded(seed)
		m, file := onDisk(t, "a", "")
		var want []byte
		for range 40 {
			off, n := rng.Int64N(limit), rng.Int64N(2*BlockSize)
			want = step(t, file, want, changeKind(rng.IntN(4)), off, n)
			equalBytes(t, m.Bytes("a"), want)
			if rng.IntN(4) == 0 {
				must(t, file.Sync())
				equalBytes(t, m.Crash(rng).Bytes("a"), want)
			}
		}
	}
}

// step makes one call on a file, and does to b what that means.
func step(t *testing.T, file File, b []byte, kind changeKind, off, n int64) []byte {
	t.Helper()
	upTo := func(size int64) {
		b = append(b, make([]byte, max(0, size-int64(len(b))))...)
	}
	switch kind {
	case changeWrite:
		p := bytes.Repeat([]byte{byte(off)}, int(n))
		write(t, file, off, string(p))
		if upTo(off); n > 0 {
			upTo(off + n)
		}
		copy(b[off:], p)
	case changeTruncate:
		must(t, file.Truncate(off))
		upTo(off)
		b = b[:off:off]
	case changeAllocate:
		must(t, file.Allocate(off, n))
		if n > 0 {
			upTo(off + n)
		}
	case changePunch:
		must(t, file.PunchHole(off, n))
		end := min(off+n, int64(len(b)))
		clear(b[min(off, end):end])
	}
	return b
}

// A data directory as storage has it, in the middle of its work.
func BenchmarkCrash(b *testing.B) {
	m := NewMem()
	for i := range 256 {
		_ = m.MkdirAll(fmt.Sprintf("seg/%02x", i))
	}
	for i := range 8 {
		file, _ := m.Open(fmt.Sprint("file", i), OpenOptions{Write: true, Create: true})
		_, _ = file.WriteAt(make([]byte, 4<<20), 0)
		_ = file.Sync()
		for j := range int64(20) {
			_, _ = file.WriteAt(bytes.Repeat([]byte("x"), 5000), j*9000)
		}
	}
	b.ReportAllocs()
	for i := range b.N {
		m.Crash(seeded(uint64(i)))
	}
}
