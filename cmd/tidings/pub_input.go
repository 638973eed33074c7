package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/tidings-io/tidings/console"
)

// maxInputRecord bounds one record of the input, whatever the server takes.
const maxInputRecord = 8 << 20

// inputRecord is one record of standard input, or why there are no more.
type inputRecord struct {
	rec   console.NewRecord
	bytes int
	err   error
}

// read hands out the records of an input until it ends or emit says stop.
func (f pubFlags) read(in *bufio.Reader, emit func(inputRecord) bool) {
	if f.input == "one" {
		value, err := io.ReadAll(io.LimitReader(in, maxInputRecord+1))
		if err == nil && len(value) > maxInputRecord {
			err = tooLong("standard input")
		}
		emit(f.inputRecord(value, err, f.record))
		return
	}
	parse := f.record
	if f.input == "jsonl" {
		parse = f.parseJSON
	}
	for n := 1; ; n++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return
		}
		r := f.inputRecord(line, err, parse)
		if r.err != nil {
			r.err = usage(fmt.Sprintf("line %d: %s", n, r.err))
		}
		if !emit(r) || r.err != nil {
			return
		}
	}
}

func (f pubFlags) inputRecord(
	value []byte, err error, parse func([]byte) (console.NewRecord, error),
) inputRecord {
	if err != nil {
		return inputRecord{err: err}
	}
	rec, err := parse(value)
	return inputRecord{rec: rec, bytes: len(value), err: err}
}

// readLine returns a line without its end; io.EOF after the last.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxInputRecord:
			return nil, tooLong("the line")
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			line = bytes.TrimSuffix(line, []byte("\n"))
			return bytes.TrimSuffix(line, []byte("\r")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func tooLong(what string) error {
	return fmt.Errorf("%s is longer than %s, the most one record may have",
		what, size(maxInputRecord))
}

// record makes a record of a value with what the flags say of all records.
func (f pubFlags) record(value []byte) (rec console.NewRecord, err error) {
	if f.keySep != "" {
		key, rest, found := bytes.Cut(value, []byte(f.keySep))
		if !found {
			return rec, usage(fmt.Sprintf("no key: %q is not in %q", f.keySep, clip(string(value))))
		}
		rec.Key, rec.KeyBase64 = console.TextOrBytes(key)
		value = rest
	}
	rec.Value, rec.ValueBase64 = console.TextOrBytes(value)
	return rec, f.complete(&rec)
}

// parseJSON reads a record as sub -o jsonl wrote it. Where it was, is not where
// it goes: topic, partition and offset are left out.
func (f pubFlags) parseJSON(line []byte) (console.NewRecord, error) {
	var doc console.Record
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return console.NewRecord{}, fmt.Errorf("not a record in JSON: %w", err)
	}
	rec := console.NewRecord{
		Time: doc.Time, Key: doc.Key, KeyBase64: doc.KeyBase64,
		Value: doc.Value, ValueBase64: doc.ValueBase64, Headers: doc.Headers,
	}
	return rec, f.complete(&rec)
}

func (f pubFlags) complete(rec *console.NewRecord) error {
	if f.key != "" {
		rec.Key, rec.KeyBase64 = console.TextOrBytes([]byte(f.key))
	}
	if f.partition >= 0 {
		rec.Partition = &f.partition
	}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok {
			return usage(quote(h)+" is no header").hint("like this", "--header source=shop")
		}
		rec.Headers = append(rec.Headers, console.Header{Key: name, Value: &value})
	}
	return nil
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound("file", name)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	value, err := io.ReadAll(io.LimitReader(file, maxInputRecord+1))
	if err == nil && len(value) > maxInputRecord {
		err = tooLong("file " + quote(name))
	}
	return value, err
}

// clip shortens text for an error.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
