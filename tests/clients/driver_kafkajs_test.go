package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// kafkajs drives npm's kafkajs, through kafkajs/driver.js.
type kafkajs struct{}

func (kafkajs) name() string {
	var pkg struct{ Version string }
	text, err := os.ReadFile("kafkajs/node_modules/kafkajs/package.json")
	if err != nil || json.Unmarshal(text, &pkg) != nil {
		return "kafkajs ?"
	}
	return "kafkajs " + pkg.Version
}

func (kafkajs) missing() string {
	if reason := missingProgram("node"); reason != "" {
		return reason
	}
	if _, err := os.Stat("kafkajs/node_modules/kafkajs"); err != nil {
		return "kafkajs is not installed: npm ci --prefix tests/clients/kafkajs"
	}
	return ""
}

func (kafkajs) lacks() map[string]string {
	const plugin = "kafkajs itself has gzip only"
	return map[string]string{
		produceSnappy: plugin, produceLz4: plugin, produceZstd: plugin,
		staticMember: "kafkajs has no group.instance.id",
	}
}

// nodeOptions are the second argument of driver.js.
type nodeOptions struct {
	memberOptions
	Compression     string `json:"compression"`
	Idempotent      bool   `json:"idempotent"`
	N               int    `json:"n"`
	SessionMillis   int64  `json:"sessionMillis"`
	HeartbeatMillis int64  `json:"heartbeatMillis"`
}

func nodeCommand(ctx context.Context, role string, o nodeOptions) *exec.Cmd {
	o.SessionMillis, o.HeartbeatMillis = sessionTimeout.Milliseconds(), heartbeatEvery.Milliseconds()
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return exec.CommandContext(ctx, "node", "kafkajs/driver.js", role, string(text))
}

// nodeProcess is a driver.js that answers lines.
type nodeProcess struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers *bufio.Scanner
	said    lockedBuffer
}

func startNode(role string, o nodeOptions) (*nodeProcess, error) {
	p := &nodeProcess{cmd: nodeCommand(context.Background(), role, o)}
	p.cmd.Stderr = &p.said
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewScanner(out)
	p.answers.Buffer(nil, 4<<20)
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return p, p.cmd.Start()
}

// call runs an operation of driver.js. When the context ends the process does.
func (p *nodeProcess) call(ctx context.Context, result any, op string, args ...any) error {
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	question, err := json.Marshal(map[string]any{"op": op, "args": append([]any{}, args...)})
	if err != nil {
		return err
	}
	if _, err := p.stdin.Write(append(question, '\n')); err != nil {
		return err
	}
	if !p.answers.Scan() {
		return errors.Join(ctx.Err(), fmt.Errorf("no answer; it said: %s", p.said.String()))
	}
	var answer struct {
		Result json.RawMessage
		Error  *struct {
			Code    int16
			Message string
		}
	}
	if err := json.Unmarshal(p.answers.Bytes(), &answer); err != nil {
		return err
	}
	switch {
	case answer.Error != nil && answer.Error.Code > 0:
		return apiError(answer.Error.Code)
	case answer.Error != nil:
		return errors.New(answer.Error.Message)
	case result == nil:
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

// close lets the process disconnect and end.
func (p *nodeProcess) close() error {
	_ = p.stdin.Close()
	return p.cmd.Wait()
}

func (kafkajs) open(seed string, o produceOptions) (producer, error) {
	p, err := startNode("producer", nodeOptions{
		memberOptions: memberOptions{Seed: seed}, Compression: o.compression, Idempotent: o.idempotent,
	})
	return nodeProducer{p}, err
}

type nodeProducer struct{ *nodeProcess }

func (p nodeProducer) send(ctx context.Context, records []record) error {
	return p.call(ctx, nil, "send", records)
}

func (kafkajs) read(ctx context.Context, seed, topic string, n int) ([]record, error) {
	cmd := nodeCommand(ctx, "reader", nodeOptions{
		memberOptions: memberOptions{Seed: seed, Topic: topic}, N: n,
	})
	var said lockedBuffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var records []record
	lines := json.NewDecoder(out)
	for len(records) < n && err == nil {
		var r record
		if err = lines.Decode(&r); err == nil {
			records = append(records, r)
		}
	}
	if ended := cmd.Wait(); ended != nil || err != nil {
		return nil, fmt.Errorf("%w; it said: %s", errors.Join(err, ended), said.String())
	}
	return records, nil
}

func (kafkajs) member(o memberOptions) (memberProcess, error) {
	cmd := nodeCommand(context.Background(), "member", nodeOptions{memberOptions: o})
	return memberProcess{cmd: cmd}, nil
}

func (kafkajs) admin(_ context.Context, seed string) (admin, error) {
	p, err := startNode("admin", nodeOptions{memberOptions: memberOptions{Seed: seed}})
	return nodeAdmin{p}, err
}

type nodeAdmin struct{ *nodeProcess }

func (a nodeAdmin) close() { _ = a.nodeProcess.close() }

func (a nodeAdmin) createTopic(
	ctx context.Context, topic string, partitions int, config map[string]string,
) error {
	return a.call(ctx, nil, "createTopic", topic, partitions, config)
}

func (a nodeAdmin) deleteTopic(ctx context.Context, topic string) error {
	return a.call(ctx, nil, "deleteTopic", topic)
}

func (a nodeAdmin) addPartitions(ctx context.Context, topic string, total int) error {
	return a.call(ctx, nil, "addPartitions", topic, total)
}

func (a nodeAdmin) topicConfig(ctx context.Context, topic string) (map[string]string, error) {
	var config map[string]string
	err := a.call(ctx, &config, "topicConfig", topic)
	return config, err
}

func (a nodeAdmin) offsetsAt(
	ctx context.Context, topic string, at time.Time,
) (map[int32]int64, error) {
	var offsets map[int32]int64
	err := a.call(ctx, &offsets, "offsetsAt", topic, at.UnixMilli())
	return offsets, err
}

func (a nodeAdmin) listGroups(ctx context.Context) ([]string, error) {
	var names []string
	err := a.call(ctx, &names, "listGroups")
	return names, err
}

func (a nodeAdmin) describeGroup(ctx context.Context, group string) (groupState, error) {
	var g struct {
		State   string
		Members int
	}
	err := a.call(ctx, &g, "describeGroup", group)
	return groupState{g.State, g.Members}, err
}

func (a nodeAdmin) deleteGroup(ctx context.Context, group string) error {
	return a.call(ctx, nil, "deleteGroup", group)
}

func (a nodeAdmin) deleteRecords(ctx context.Context, topic string, before int64) error {
	return a.call(ctx, nil, "deleteRecords", topic, before)
}
