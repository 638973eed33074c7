package vfs

import (
	"errors"
	"syscall"
	"testing"
)

// /dev/full is a disk that is always full.
func TestFullDiskIsErrNoSpace(t *testing.T) {
	file, err := OS("/dev").Open("full", OpenOptions{Write: true})
	must(t, err)
	defer file.Close()
	_, err = file.WriteAt([]byte("x"), 0)
	const text = "write /dev/full: no space left on device"
	if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) || err.Error() != text {
		t.Errorf("got %v, want %q that is %v", err, text, ErrNoSpace)
	}
}

func TestQuotaIsErrNoSpace(t *testing.T) {
	err := kindOf(syscall.EDQUOT, false)
	if !errors.Is(err, ErrNoSpace) || err.Error() != "disk quota exceeded" {
		t.Errorf("got %v, want %v that is %v", err, syscall.EDQUOT, ErrNoSpace)
	}
}

// A pipe cannot be synced and has no blocks: each error shows that the system was
// asked, which a call on a file would not.
func TestEachCallAsksTheSystem(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(dir+"/pipe", 0o600))
	file, err := OS(dir).Open("pipe", OpenOptions{Write: true})
	must(t, err)
	defer file.Close()
	for _, c := range []struct {
		name      string
		got, want error
	}{
		{"sync", file.Sync(), syscall.EINVAL},
		{"flush", file.Flush(0, 1), syscall.ESPIPE},
		{"flush of nothing", file.Flush(0, 0), nil},
		{"allocate", file.Allocate(0, 1), syscall.ESPIPE},
		{"punch hole", file.PunchHole(0, 1), syscall.ESPIPE},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestDirectFilesBypassTheCacheAndAreDurable(t *testing.T) {
	file, err := OS(t.TempDir()).Open("a", OpenOptions{Write: true, Create: true, Direct: true})
	if errors.Is(err, ErrUnsupported) {
		t.Skip("the file system of the tests has no O_DIRECT")
	}
	must(t, err)
	defer file.Close()
	flags, err := descriptorFlags(file.(*osFile))
	const want = syscall.O_DIRECT | syscall.O_DSYNC
	if err != nil || flags&want != want {
		t.Errorf("flags %#x, %v; want %#x among them", flags, err, want)
	}
}

func descriptorFlags(f *osFile) (flags int, err error) {
	err = uninterrupted(f.raw, func(fd int) error {
		r, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
		if flags = int(r); errno != 0 {
			return errno
		}
		return nil
	})
	return flags, err
}

// ext4, xfs, btrfs and tmpfs have these calls; a wrong number or flag shows here.
func TestLinuxHasSyncfsAndHoles(t *testing.T) {
	f := OS(t.TempDir())
	must(t, f.SyncAll())
	file := create(t, f, "a")
	err := file.Allocate(0, 1<<20)
	if errors.Is(err, ErrUnsupported) {
		t.Skip("the file system of the tests cannot allocate")
	}
	must(t, err)
	used := blocksOf(t, f, "a")
	must(t, file.PunchHole(0, 1<<19))
	if left := blocksOf(t, f, "a"); used < 1<<20/512 || left > used*3/4 {
		t.Errorf("%d blocks allocated, %d after a hole of half of them", used, left)
	}
}

func blocksOf(t *testing.T, f FS, name string) int64 {
	t.Helper()
	var s syscall.Stat_t
	must(t, syscall.Stat(f.Path(name), &s))
	return s.Blocks
}
