package storage

import (
	"container/list"
	"errors"
	"io/fs"
	"sync"

	"github.com/tidings-io/tidings/storage/vfs"
)

// fileCache holds a bounded number of segment files open: a process may be
// allowed only 20,000, and a store may have more segments than that.
type fileCache struct {
	fs  vfs.FS
	max int

	mu   sync.Mutex
	open map[string]*handle
	idle *list.List // of *handle with no user, oldest first
}

type handle struct {
	vfs.File
	name  string
	users int
	elem  *list.Element // in idle
	stale bool          // forgotten while in use: close with the last user
}

func newFileCache(fs vfs.FS, max int) *fileCache {
	return &fileCache{fs: fs, max: max, open: map[string]*handle{}, idle: list.New()}
}

// get returns an open file for use until put.
func (c *fileCache) get(name string, o vfs.OpenOptions) (*handle, error) {
	if h := c.reuse(name); h != nil {
		return h, nil
	}
	f, err := c.fs.Open(name, o)
	if err != nil {
		return nil, err
	}
	return c.adopt(name, f)
}

func (c *fileCache) reuse(name string) *handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.open[name]
	if h != nil {
		c.useLocked(h)
	}
	return h
}

// adopt takes a file that was just opened, unless someone was faster.
func (c *fileCache) adopt(name string, f vfs.File) (*handle, error) {
	c.mu.Lock()
	h := c.open[name]
	var close []vfs.File
	if h != nil {
		close = append(close, f)
	} else {
		h = &handle{File: f, name: name}
		c.open[name] = h
	}
	c.useLocked(h)
	for len(c.open) > c.max && c.idle.Len() > 0 {
		old := c.idle.Remove(c.idle.Front()).(*handle)
		delete(c.open, old.name)
		close = append(close, old.File)
	}
	c.mu.Unlock()
	return h, closeAll(close)
}

func (c *fileCache) useLocked(h *handle) {
	h.users++
	if h.elem != nil {
		c.idle.Remove(h.elem)
		h.elem = nil
	}
}

func (c *fileCache) put(h *handle) {
	c.mu.Lock()
	h.users--
	last := h.users == 0
	if last && !h.stale {
		h.elem = c.idle.PushBack(h)
	}
	stale := h.stale
	c.mu.Unlock()
	if last && stale {
		_ = h.Close() // the file is being deleted: nothing of it is needed
	}
}

// remove closes and deletes a file; a missing one is no error.
func (c *fileCache) remove(name string) error {
	c.mu.Lock()
	h := c.open[name]
	delete(c.open, name)
	inUse := h != nil && h.users > 0
	if inUse {
		h.stale = true
	} else if h != nil {
		c.idle.Remove(h.elem)
	}
	c.mu.Unlock()
	if h != nil && !inUse {
		_ = h.Close() // as above
	}
	if err := c.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c *fileCache) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

func (c *fileCache) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.open {
		_ = h.Close() // synced by the last checkpoint, or lost with the poison
	}
	clear(c.open)
	c.idle.Init()
}

func closeAll(files []vfs.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
