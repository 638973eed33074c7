package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
)

// twinLog is the plainest durable log: a file for each partition. Appends gather in memory; a
// writer takes everything that is waiting for a partition, writes it with one call, calls
// fdatasync and wakes those who wait. It keeps the promise of the engine that it is compared
// with, that what is acknowledged is on disk, and nothing else: no index, no retention, no
// recovery, no checks of what comes in.
type twinLog struct {
	parts   []*twinPart
	dirty   chan *twinPart // each is in it at most once
	record  []byte
	writers sync.WaitGroup
}

// twinWriters is how many partitions are synced side by side.
const twinWriters = 32

type twinPart struct {
	file *os.File
	log  *twinLog

	mu      sync.Mutex
	waiting []byte
	batch   *twinBatch // what the bytes in waiting will be confirmed by
	queued  bool       // in dirty, or being written
}

// twinBatch is the records that share a sync.
type twinBatch struct {
	done chan struct{} // closed when they are on disk, or err says why not
	err  error
}

func openTwin(dir string, partitions int) (*twinLog, error) {
	l := &twinLog{dirty: make(chan *twinPart, partitions), record: make([]byte, recordBytes-8)}
	for i := range partitions {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("p-%05d.log", i)))
		if err != nil {
			return nil, err
		}
		l.parts = append(l.parts, &twinPart{file: f, log: l})
	}
	for range twinWriters {
		l.writers.Go(l.write)
	}
	return l, nil
}

// Append adds length, checksum and bytes of a record.
func (l *twinLog) Append(_ context.Context, partition int) (confirm, error) {
	sum := crc32.Checksum(l.record, castagnoli)
	p := l.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.batch == nil {
		p.batch = &twinBatch{done: make(chan struct{})}
	}
	p.waiting = binary.LittleEndian.AppendUint32(p.waiting, uint32(len(l.record)))
	p.waiting = binary.LittleEndian.AppendUint32(p.waiting, sum)
	p.waiting = append(p.waiting, l.record...)
	if !p.queued {
		p.queued = true
		l.dirty <- p // never blocks: it has room for every partition
	}
	return p.batch, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// write makes partitions durable until the log is closed.
func (l *twinLog) write() {
	var spare []byte
	for p := range l.dirty {
		p.mu.Lock()
		bytes, batch := p.waiting, p.batch
		p.waiting, p.batch = spare[:0], nil
		p.mu.Unlock()
		_, err := p.file.Write(bytes)
		batch.err = errors.Join(err, syncData(p.file))
		close(batch.done)
		spare = bytes
		p.mu.Lock()
		if p.queued = p.batch != nil; p.queued {
			l.dirty <- p
		}
		p.mu.Unlock()
	}
}

// Wait waits until the batch is on disk.
func (b *twinBatch) Wait(ctx context.Context) error {
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the writers. All that was appended must have been waited for.
func (l *twinLog) Close() error {
	close(l.dirty)
	l.writers.Wait()
	var errs []error
	for _, p := range l.parts {
		errs = append(errs, p.file.Close())
	}
	return errors.Join(errs...)
}
