package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A journal file without a valid header was never used, or it was being begun
// when the power failed: then it holds only frames that a checkpoint made
// unnecessary. Where it holds others, it is the header that is damaged, and what
// is behind it must not be overlooked. A header can also be too old: frames of
// a later use than it names follow it.

// findLostHeads looks for damaged headers of files that are needed.
func (r *replay) findLostHeads() error {
	for _, rf := range r.files {
		h, last, err := rf.lostHead()
		if err != nil {
			return err
		}
		if h.epoch == 0 || last < r.next || r.passed(h.epoch) {
			continue
		}
		d := &Damage{File: rf.name, Len: blockSize,
			Why: fmt.Sprintf("the header is damaged, and frames %d to %d follow it", h.first, last)}
		if err := r.damaged(d); err != nil {
			return err
		}
		rf.head = h
	}
	slices.SortStableFunc(r.files, func(a, b *replayFile) int {
		return cmp.Compare(a.head.epoch, b.head.epoch)
	})
	return r.findCheckpointed()
}

// findCheckpointed makes sure that the file is there which was in use at the
// checkpoint: it stays until the next one.
func (r *replay) findCheckpointed() error {
	if r.epoch == 0 || slices.ContainsFunc(r.files, func(rf *replayFile) bool {
		return rf.head.epoch == r.epoch
	}) {
		return nil
	}
	return r.damaged(r.noFile(fmt.Sprintf("the file of epoch %d is missing", r.epoch)))
}

// noFile is the damage of a missing journal file, or of one without its header.
func (r *replay) noFile(why string) *Damage {
	for _, rf := range r.files {
		if rf.head.epoch == 0 {
			return &Damage{File: rf.name, Len: blockSize, Why: why + ", or this is it"}
		}
	}
	return &Damage{File: journalDir, Why: why}
}

// passed says that the file after an epoch begins with what must come: what is
// left of the epoch was given up by an earlier recovery.
func (r *replay) passed(epoch uint64) bool {
	return slices.ContainsFunc(r.files, func(rf *replayFile) bool {
		return rf.head.epoch != 0 && rf.head.before == epoch && rf.head.first <= r.next
	})
}

// lostHead returns the header that the frames of a file ask for, with the last
// sequence of those, where it has another one; epoch 0 otherwise.
func (rf *replayFile) lostHead() (h journalHead, last Seq, err error) {
	if rf.head.epoch != 0 {
		first := make([]byte, frameHeader)
		if _, err := rf.f.ReadAt(first, blockSize); err != nil && !errors.Is(err, io.EOF) {
			return h, 0, err
		}
		if f, ok := parseFrame(first); !ok || f.epoch <= rf.head.epoch {
			return h, 0, nil
		}
	}
	buf := allocBytes(1 << 20)
	defer freeBytes(buf)
	buf = buf[:1<<20]
	for pos := int64(blockSize); pos < rf.size; pos += int64(len(buf)) {
		n, err := rf.f.ReadAt(buf, pos)
		if err != nil && !errors.Is(err, io.EOF) {
			return h, 0, err
		}
		last = h.learn(buf[:n], last)
	}
	h.size = rf.size
	return h, last, nil
}

// learn takes the newest epoch and its first frame from blocks of a file, and
// returns its last frame so far.
func (h *journalHead) learn(p []byte, last Seq) Seq {
	for ; len(p) >= frameHeader; p = p[min(blockSize, len(p)):] {
		f, ok := parseFrame(p)
		switch {
		case !ok || f.epoch < h.epoch:
		case f.epoch > h.epoch:
			h.epoch, h.first, last = f.epoch, f.seq, f.seq
		default:
			last = max(last, f.seq)
		}
	}
	return last
}
