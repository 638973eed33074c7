package vfs

import (
	"bytes"
	"slices"
)

const pageSize = BlockSize

// page is never changed once an image holds it, so images share pages.
type page [pageSize]byte

// zeros is the page of blocks that were reserved, or overwritten with zeros.
var zeros page

// image is one state of a file's content: what programs see, or what is on the
// disk. A nil page is a hole; beyond size every byte of a page is zero.
type image struct {
	size   int64
	pages  []*page
	blocks int64 // pages that are not holes
}

func (im *image) clone() image {
	return image{im.size, slices.Clone(im.pages), im.blocks}
}

// readAt copies what lies below the size, and returns how much that was.
func (im *image) readAt(p []byte, off int64) int {
	if off >= im.size {
		return 0
	}
	p = p[:min(int64(len(p)), im.size-off)]
	for rest := p; len(rest) > 0; {
		at := off % pageSize
		n := min(int64(len(rest)), pageSize-at)
		if pg := im.pages[off/pageSize]; pg != nil {
			copy(rest[:n], pg[at:])
		} else {
			clear(rest[:n])
		}
		rest, off = rest[n:], off+n
	}
	return len(p)
}

// write takes over data, which nobody changes afterwards; nil stands for n zeros.
func (im *image) write(off, n int64, data []byte) {
	if n == 0 {
		return
	}
	im.grow(off + n)
	for end := off + n; off < end; {
		at := off % pageSize
		part := min(end-off, pageSize-at)
		fresh := zeros[:part]
		if data != nil {
			fresh, data = data[:part], data[part:]
		}
		im.set(off/pageSize, overlay(im.pages[off/pageSize], at, fresh))
		off += part
	}
}

// overlay returns a page with fresh at offset at; a whole page is not copied.
func overlay(old *page, at int64, fresh []byte) *page {
	if len(fresh) == pageSize {
		if bytes.Equal(fresh, zeros[:]) {
			return &zeros
		}
		return (*page)(fresh)
	}
	pg := new(page)
	if old != nil {
		*pg = *old
	}
	copy(pg[at:], fresh)
	return pg
}

func (im *image) set(i int64, pg *page) {
	if im.pages[i] != nil {
		im.blocks--
	}
	if pg != nil {
		im.blocks++
	}
	im.pages[i] = pg
}

func (im *image) grow(size int64) {
	if size <= im.size {
		return
	}
	im.size = size
	count := int((size + pageSize - 1) / pageSize)
	if more := count - len(im.pages); more > 0 {
		im.pages = append(im.pages, make([]*page, more)...)
	}
}

func (im *image) truncate(size int64) {
	if size >= im.size {
		im.grow(size)
		return
	}
	count := (size + pageSize - 1) / pageSize
	im.punch(size, count*pageSize-size)
	for i := count; i < int64(len(im.pages)); i++ {
		im.set(i, nil)
	}
	im.size, im.pages = size, im.pages[:count]
}

func (im *image) allocate(off, n int64) {
	im.grow(off + n)
	for i := off / pageSize; i*pageSize < off+n; i++ {
		if im.pages[i] == nil {
			im.set(i, &zeros)
		}
	}
}

func (im *image) punch(off, n int64) {
	end := min(off+n, int64(len(im.pages))*pageSize)
	for off < end {
		at := off % pageSize
		part := min(end-off, pageSize-at)
		if i := off / pageSize; part == pageSize {
			im.set(i, nil)
		} else if im.pages[i] != nil {
			im.set(i, overlay(im.pages[i], at, zeros[:part]))
		}
		off += part
	}
}

// holes counts the blocks that a write to a range would take from the device.
func (im *image) holes(off, n int64) (count int64) {
	for i := off / pageSize; i*pageSize < off+n; i++ {
		if i >= int64(len(im.pages)) || im.pages[i] == nil {
			count++
		}
	}
	return count
}

// room cuts a write or an allocation to the part that takes at most free blocks.
func (im *image) room(off, n, free int64) int64 {
	if (n+2*pageSize-1)/pageSize <= free {
		return n
	}
	for i := off / pageSize; i*pageSize < off+n; i++ {
		if i < int64(len(im.pages)) && im.pages[i] != nil {
			continue
		}
		if free--; free < 0 {
			return max(0, i*pageSize-off)
		}
	}
	return n
}
