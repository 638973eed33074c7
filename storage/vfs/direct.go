package vfs

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"unsafe"
)

// AlignedBuffer returns n zero bytes whose address is a multiple of BlockSize,
// as Direct files need. Appending to it moves it: the capacity is n.
//
// It is not inlined, so that the bytes are always on the heap: the stack moves,
// and the alignment would not survive that.
//
//go:noinline
func AlignedBuffer(n int) []byte {
	b := make([]byte, n+BlockSize)
	skip := 0
	if over := address(b) % BlockSize; over != 0 {
		skip = int(BlockSize - over)
	}
	return b[skip : skip+n : skip+n]
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// checkAligned refuses what a Direct file may refuse on some device, so that a
// caller's mistake shows up on every one.
func checkAligned(off int64, p []byte) error {
	if off%BlockSize == 0 && len(p)%BlockSize == 0 && address(p)%BlockSize == 0 {
		return nil
	}
	return fmt.Errorf("%w: offset %d, length %d or memory not aligned to %d",
		ErrUnsupported, off, len(p), BlockSize)
}

// clean returns the shortest form of a name ("" is the root, "."), and refuses
// one that is absolute, leads above the root or cannot be a file's name.
func clean(op, name string) (string, error) {
	c := path.Clean(name)
	if _, err := filepath.Localize(c); err != nil {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return c, nil
}
