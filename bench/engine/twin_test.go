package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestBothSidesConfirmWhatTheyAppend(t *testing.T) {
	for _, side := range []string{ours, twin} {
		t.Run(side, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			log, err := open(ctx, side, t.TempDir(), 4)
			if err != nil {
				t.Fatal(err)
			}
			l := load{name: "small", partitions: 4, producers: 2, window: 3}
			r, err := l.measure(ctx, log, 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if r.Records == 0 || r.Bytes != r.Records*recordBytes {
				t.Errorf("got %d records of %d bytes together", r.Records, r.Bytes)
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTheTwinWritesEveryRecordToItsFile(t *testing.T) {
	dir := t.TempDir()
	log, err := openTwin(dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		c, err := log.Append(t.Context(), 1)
		if err == nil {
			err = c.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Stat(filepath.Join(dir, "p-00001.log"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Size(), int64(5*recordBytes); got != want {
		t.Errorf("got %d bytes, want %d", got, want)
	}
}
