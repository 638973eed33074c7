package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
)

// A member of a consumer group is a process. It commits what it has read, after
// each batch, and prints events as lines of JSON. It leaves its group and ends
// when its standard input is closed.

// memberOptions are handed to a member process as JSON.
type memberOptions struct {
	Client   string `json:"client"`
	Seed     string `json:"seed"`
	Group    string `json:"group"`
	Topic    string `json:"topic"`
	Instance string `json:"instance,omitempty"` // of a static member
}

// memberEvent has one of its fields.
type memberEvent struct {
	// Assigned are all partitions that the member has now.
	Assigned *[]int32 `json:"assigned,omitempty"`
	Record   *record  `json:"record,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// memberEnv makes a test process a member instead: its value are the options.
const memberEnv = "TIDINGS_TEST_MEMBER"

// goMembers are the clients that run in a copy of the test process.
var goMembers = map[string]func(context.Context, memberOptions, *memberOutput) error{
	"franz-go": franzMember,
	"sarama":   saramaMember,
	"kafka-go": segmentMember,
}

// memberProcess is a member that has not been started.
type memberProcess struct {
	cmd *exec.Cmd
	// out and err turn lines of the process into events; nil: its output is events in
	// JSON, its standard error is for people.
	out, err func(line string) memberEvent
	// leaveOn is the signal that makes it leave; nil: the end of its standard input.
	leaveOn os.Signal
	// endsWithBroker says that the client may end when it has lost its broker.
	endsWithBroker bool
}

// goMember is a process that runs the test program again, as a member.
func goMember(o memberOptions) (memberProcess, error) {
	config, err := json.Marshal(o)
	if err != nil {
		return memberProcess{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return memberProcess{}, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), memberEnv+"="+string(config))
	return memberProcess{cmd: cmd}, nil
}

// runGoMember is what the copy does. It returns the exit code.
func runGoMember(config string) int {
	var o memberOptions
	if err := json.Unmarshal([]byte(config), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, leave := context.WithCancel(context.Background())
	go func() {
		defer leave()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	out := &memberOutput{enc: json.NewEncoder(os.Stdout)}
	if err := goMembers[o.Client](ctx, o, out); err != nil {
		out.write(memberEvent{Error: err.Error()})
		return 1
	}
	return 0
}

// memberOutput writes events, from any goroutine.
type memberOutput struct {
	mu       sync.Mutex
	enc      *json.Encoder
	assigned []int32
}

func (o *memberOutput) write(e memberEvent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.enc.Encode(e)
}

func (o *memberOutput) record(r record) { o.write(memberEvent{Record: &r}) }

// gained and lost tell of changes, for clients with incremental rebalances.
func (o *memberOutput) gained(partitions []int32) {
	o.change(func(now []int32) []int32 { return append(now, partitions...) })
}

func (o *memberOutput) lost(partitions []int32) {
	o.change(func(now []int32) []int32 {
		return slices.DeleteFunc(now, func(p int32) bool { return slices.Contains(partitions, p) })
	})
}

func (o *memberOutput) change(f func([]int32) []int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := append([]int32{}, f(slices.Clone(o.assigned))...)
	slices.Sort(now)
	if !slices.Equal(now, o.assigned) {
		o.assigned = now
		_ = o.enc.Encode(memberEvent{Assigned: &now})
	}
}
