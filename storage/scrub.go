package storage

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// Scrub reads every entry of every durable log's segment files and verifies its
// checksum, at most Config.ScrubBytes a second: run it in the background, now
// and then. It returns what is damaged; reading those offsets answers the same.
// The error is ctx's, ErrClosed, or ErrFormat.
func (s *Store) Scrub(ctx context.Context) ([]*Damage, error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	defer done()
	p := &pacer{ctx: ctx, quit: s.quit, rate: s.cfg.ScrubBytes, start: time.Now()}
	var found []*Damage
	for _, l := range s.durableLogs() {
		if l.volatile {
			continue
		}
		damaged, err := l.scrub(p.wait)
		found = append(found, damaged...)
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// scrub checks the segments that the log has now.
func (l *Log) scrub(pace func(int) error) (found []*Damage, err error) {
	for _, g := range l.segmentsNow() {
		damaged, _, err := g.check(l.store.fs, pace)
		if err != nil {
			return found, err
		}
		start, _, _ := l.Bounds()
		for _, d := range damaged {
			trimmed := d.To > d.From && d.To <= start || l.forgot(g.live)
			if !trimmed {
				found = append(found, d)
			}
		}
	}
	return found, nil
}

// snapshot is a segment as it was at some moment: what is in it never changes.
type snapshot struct {
	segment
	live *segment
}

func (l *Log) segmentsNow() []snapshot {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]snapshot, 0, len(l.segs))
	for _, g := range l.segs {
		if g.length > g.begin {
			out = append(out, g.snapshot())
		}
	}
	return out
}

// snapshot is called with the log's mu held.
func (g *segment) snapshot() snapshot {
	return snapshot{segment{log: g.log, base: g.base, name: g.name, begin: g.begin, end: g.end,
		length: g.length, maxTime: g.maxTime, sealed: g.sealed}, g}
}

// check verifies the header and all entries; ErrFormat for a newer version.
func (g *segment) check(fsys vfs.FS, pace func(int) error) (damaged []*Damage, intact []stretch, err error) {
	f, err := fsys.Open(g.name, vfs.OpenOptions{})
	if errors.Is(err, fs.ErrNotExist) {
		return []*Damage{g.missingFile(g.base)}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if err := g.checkHead(f); errors.Is(err, ErrFormat) {
		return nil, nil, err
	} else if err != nil {
		damaged = append(damaged, &Damage{File: g.name, Len: segmentHeader, Log: g.log, From: g.base, To: g.base,
			Why: "not the header of this segment; its entries can be read"})
	}
	c := &checker{log: g.log, file: g.name, r: f, pace: pace}
	from := g.base
	if g.begin > segmentHeader {
		from = anyOffset
	}
	err = c.run(g.begin, g.length, from, g.end)
	return append(damaged, c.damaged...), c.intact, err
}

// pacer holds a long read back to a rate.
type pacer struct {
	ctx   context.Context
	quit  <-chan struct{}
	rate  int64
	start time.Time
	bytes int64
}

// wait waits until n more bytes may be read.
func (p *pacer) wait(n int) error {
	due := p.start.Add(time.Duration(float64(p.bytes) / float64(p.rate) * float64(time.Second)))
	p.bytes += int64(n)
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	case <-p.quit:
		return ErrClosed
	}
}
