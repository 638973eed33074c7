package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// kcat drives the kcat program: an older librdkafka, as Debian has it.
type kcat struct{}

func (kcat) name() string {
	out, _ := exec.Command("kcat", "-V").Output()
	version := "?"
	for _, word := range strings.Fields(string(out)) {
		if strings.Count(word, ".") == 2 && word[0] >= '0' && word[0] <= '9' {
			version = word
			break
		}
	}
	return "kcat " + version
}

func (kcat) missing() string { return missingProgram("kcat") }

func missingProgram(name string) string {
	if _, err := exec.LookPath(name); err != nil {
		return name + " is not installed"
	}
	return ""
}

func (kcat) lacks() map[string]string {
	const none = "kcat has no command for it"
	const ends = "kcat ends when it has lost its broker"
	return map[string]string{
		timestamps:      "kcat cannot set the time of a record",
		producerKill:    ends,
		idempotentKill:  ends,
		topicLife:       none,
		morePartitions:  none,
		describeConfig:  none,
		groupLife:       none,
		deletingRecords: none,
	}
}

func kcatCommand(ctx context.Context, seed string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "kcat",
		append([]string{"-b", seed, "-X", "reconnect.backoff.max.ms=500"}, args...)...)
}

// open makes a producer that runs a kcat for each send: kcat reads its standard input to
// the end before it sends.
func (kcat) open(seed string, o produceOptions) (producer, error) {
	return kcatProducer{seed: seed, opts: []string{
		"-P", "-K", unitSeparator, "-D", recordSeparator, "-X", "acks=all", "-z", o.compression,
		"-X", fmt.Sprint("enable.idempotence=", o.idempotent),
		"-X", "message.max.bytes=2097152", "-X", "topic.partitioner=murmur2_random",
	}}, nil
}

type kcatProducer struct {
	seed string
	opts []string
}

func (kcatProducer) close() error { return nil }

// The separators of key and value, and of records, on kcat's standard input.
const (
	unitSeparator   = "\x1f"
	recordSeparator = "\x1e"
)

// send sends plain records together. Headers hold for all records of a kcat, and what is
// not plain cannot be told apart on its standard input: such a record goes alone.
func (p kcatProducer) send(ctx context.Context, records []record) error {
	var lines strings.Builder
	for _, r := range records {
		if !plain(r) {
			if err := p.sendAlone(ctx, r); err != nil {
				return err
			}
			continue
		}
		lines.WriteString(string(r.Key) + unitSeparator + string(r.Value) + recordSeparator)
	}
	if lines.Len() == 0 {
		return nil
	}
	return p.run(ctx, strings.NewReader(lines.String()), "-t", records[0].Topic)
}

func plain(r record) bool {
	return r.Headers == nil && len(r.Key) > 0 && len(r.Value) > 0 && len(r.Value) < 100
}

// sendAlone sends one record: -Z makes an empty value null, -k is the key of a value
// that is a file.
func (p kcatProducer) sendAlone(ctx context.Context, r record) error {
	args := []string{"-t", r.Topic}
	for _, h := range r.Headers {
		args = append(args, "-H", h.Key+"="+string(h.Value))
	}
	if r.Value == nil {
		line := string(r.Key) + unitSeparator + recordSeparator
		return p.run(ctx, strings.NewReader(line), append(args, "-Z")...)
	}
	if r.Key != nil {
		args = append(args, "-k", string(r.Key))
	}
	file, err := os.CreateTemp("", "kcat-value-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(r.Value)
	return errors.Join(err, file.Close(), p.run(ctx, nil, append(args, file.Name())...))
}

func (p kcatProducer) run(ctx context.Context, stdin io.Reader, args ...string) error {
	cmd := kcatCommand(ctx, p.seed, append(slices.Clone(p.opts), args...)...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err == nil && bytes.Contains(out, []byte("Delivery failed")) {
		err = errors.New("kcat did not deliver")
	}
	if err != nil {
		err = fmt.Errorf("%w; it said: %s", err, bytes.TrimSpace(out))
	}
	return err
}

// kcatFormat writes lengths before bytes, so that any bytes can be read back.
const kcatFormat = "%p %o %T %K %S %h\n%k%s\n"

func (kcat) read(ctx context.Context, seed, topic string, n int) ([]record, error) {
	cmd := kcatCommand(ctx, seed, "-C", "-q", "-u", "-t", topic, "-o", "beginning",
		"-c", strconv.Itoa(n), "-f", kcatFormat, "-X", "fetch.message.max.bytes=2097152")
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	return parseKcat(topic, out)
}

// parseKcat reads what kcatFormat wrote.
func parseKcat(topic string, out []byte) ([]record, error) {
	var records []record
	for len(out) > 0 {
		head, rest, _ := bytes.Cut(out, []byte("\n"))
		r := record{Topic: topic}
		var keySize, valueSize int
		_, err := fmt.Sscan(string(head), &r.Partition, &r.Offset, &r.Millis, &keySize, &valueSize)
		if err != nil {
			return nil, fmt.Errorf("kcat wrote %q: %w", head, err)
		}
		if word := strings.SplitN(string(head), " ", 6); len(word) == 6 && word[5] != "" {
			r.Headers = kcatHeaders(word[5])
		}
		r.Key, rest = take(rest, keySize)
		r.Value, rest = take(rest, valueSize)
		records, out = append(records, r), rest[1:]
	}
	return records, nil
}

// take cuts off size bytes; -1 is a null.
func take(from []byte, size int) (taken, rest []byte) {
	if size < 0 {
		return nil, from
	}
	return bytes.Clone(from[:size:size]), from[size:]
}

func kcatHeaders(text string) []header {
	var headers []header
	for _, pair := range strings.Split(text, ",") {
		k, v, _ := strings.Cut(pair, "=")
		headers = append(headers, header{k, []byte(v)})
	}
	return headers
}

// member runs kcat -G: its assignments are on its standard error, its records on standard
// output. It leaves its group on SIGTERM.
func (kcat) member(o memberOptions) (memberProcess, error) {
	args := []string{
		"-G", o.Group, "-u", "-f", `{"topic":"%t","partition":%p,"offset":%o,"key":"%k","value":"%s"}\n`,
		"-X", "auto.offset.reset=earliest", "-X", "auto.commit.interval.ms=100",
		"-X", fmt.Sprint("session.timeout.ms=", sessionTimeout.Milliseconds()),
		"-X", fmt.Sprint("heartbeat.interval.ms=", heartbeatEvery.Milliseconds()),
	}
	if o.Instance != "" {
		args = append(args, "-X", "group.instance.id="+o.Instance)
	}
	return memberProcess{
		cmd: kcatCommand(context.Background(), o.Seed, append(args, o.Topic)...),
		out: kcatRecord, err: kcatRebalance, leaveOn: syscall.SIGTERM, endsWithBroker: true,
	}, nil
}

func kcatRecord(line string) memberEvent {
	var r struct {
		Topic      string
		Partition  int32
		Offset     int64
		Key, Value string
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return memberEvent{Error: fmt.Sprintf("kcat wrote %q: %v", line, err)}
	}
	return memberEvent{Record: &record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Key: []byte(r.Key), Value: []byte(r.Value)}}
}

// kcatRebalance understands "% Group g rebalanced (memberid m): assigned: t [0], t [1]".
func kcatRebalance(line string) memberEvent {
	ids := []int32{}
	if !strings.Contains(line, "rebalanced") {
		return memberEvent{}
	}
	_, assigned, _ := strings.Cut(line, ": assigned:")
	for word := range strings.FieldsSeq(assigned) {
		number := strings.Trim(word, "[],")
		if id, err := strconv.Atoi(number); err == nil && strings.HasPrefix(word, "[") {
			ids = append(ids, int32(id))
		}
	}
	return memberEvent{Assigned: &ids}
}

func (kcat) admin(_ context.Context, seed string) (admin, error) {
	return kcatAdmin{seed: seed}, nil
}

// kcatAdmin can ask for offsets, and no more.
type kcatAdmin struct {
	noAdmin
	seed string
}

func (a kcatAdmin) offsetsAt(
	ctx context.Context, topic string, at time.Time,
) (map[int32]int64, error) {
	offsets := make(map[int32]int64)
	for p := range int32(3) {
		query := fmt.Sprintf("%s:%d:%d", topic, p, at.UnixMilli())
		out, err := kcatCommand(ctx, a.seed, "-Q", "-t", query).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w; it said: %s", err, bytes.TrimSpace(out))
		}
		var offset int64
		format := fmt.Sprintf("%s [%d] offset %%d", topic, p)
		if _, err := fmt.Sscanf(string(out), format, &offset); err != nil {
			return nil, fmt.Errorf("kcat -Q wrote %q: %w", out, err)
		}
		offsets[p] = offset
	}
	return offsets, nil
}
