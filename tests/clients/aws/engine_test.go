package aws

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/child"
	"github.com/tidings-io/tidings/tests/clients/need"
	"github.com/tidings-io/tidings/tests/clients/server"
)

// in is the input of an action, and out its output: AWS's names and values as JSON has them. Bytes are in
// base64, under "$bytes".
type (
	in  map[string]any
	out map[string]any
)

// refusal is an error of AWS as a program sees it.
type refusal struct {
	Type    string // the class of the SDK; "" for an error that has none
	Code    string
	Message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%s (%s): %s", r.Code, r.Type, r.Message) }

// installed is a client that may not be there.
type installed interface {
	// name is what -need and .ci/run call it.
	name() string
	// missing says why it is not there.
	missing() string
}

// engine is such a client that does what it is told.
type engine interface {
	installed
	// lacks says whether it does not know an action.
	lacks(action string) bool
	// open starts it. What it returns calls actions: errors are *refusal if AWS's, else it has failed.
	open(t *testing.T, s *server.Server, env ...string) caller
}

// caller calls one action of a service.
type caller func(ctx context.Context, service, action string, input in) (out, error)

// engines are all of them; those of the query protocol speak it to SQS. The command line is once that of PyPI,
// version 1, and once that of Debian, an old version 2.
var engines = []engine{
	goSDK{},
	javascript,
	script{"boto3", []string{"python/.venv-current/bin/python", "python/engine.py"}, "python/.venv-current/lib"},
	script{"boto3-query", []string{"python/.venv-old/bin/python", "python/engine.py"}, "python/.venv-old/lib"},
	commandLine{"awscli", "python/.venv-current/bin/python", 255, nil},
	commandLine{"awscli-query", "/usr/bin/python3", 254,
		[]string{"StartMessageMoveTask", "ListMessageMoveTasks", "CancelMessageMoveTask"}},
}

var javascript = script{"javascript", []string{"node", "js/engine.js"}, "js/node_modules/@aws-sdk/client-sqs"}

// needed ends the test without a client: as a failure if -need has it.
func needed(t *testing.T, e installed) {
	t.Helper()
	if reason := e.missing(); reason != "" {
		need.Without(t, e.name(), reason)
	}
}

// script is a program that answers lines, as js/engine.js describes it.
type script struct {
	called  string
	command []string
	there   string // a path that is there when its packages are installed
}

func (e script) name() string { return e.called }

func (e script) lacks(string) bool { return false }

func (e script) missing() string {
	if _, err := exec.LookPath(e.command[0]); err != nil {
		return err.Error()
	}
	if _, err := os.Stat(e.there); err != nil {
		return err.Error()
	}
	return ""
}

func (e script) open(t *testing.T, s *server.Server, env ...string) caller {
	t.Helper()
	if env == nil {
		env = []string{"AWS_ENDPOINT_URL=" + s.SQS}
	}
	p := talk(t, append(withoutAWS(), env...), e.command...)
	return func(ctx context.Context, service, action string, input in) (out, error) {
		var answer struct {
			Output out
			Error  *refusal
		}
		if err := p.ask(ctx, map[string]any{"service": service, "action": action, "input": input}, &answer); err != nil {
			return nil, err
		}
		if answer.Error != nil {
			return nil, answer.Error
		}
		return answer.Output, nil
	}
}

// talker is a process that answers a line of JSON with one.
type talker struct {
	stdin io.Writer
	lines *bufio.Reader
	kill  func()
}

// talk starts a talker, which ends with the test.
func talk(t *testing.T, env []string, command ...string) *talker {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = env
	said := &strings.Builder{}
	cmd.Stderr = said
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, child.Start(cmd)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() && said.Len() > 0 {
			t.Logf("%s said:\n%s", command[1], said)
		}
	})
	return &talker{stdin, bufio.NewReader(stdout), cancel}
}

// ask waits for the answer. When the context ends the process does.
func (p *talker) ask(ctx context.Context, question, answer any) error {
	defer context.AfterFunc(ctx, p.kill)()
	if err := json.NewEncoder(p.stdin).Encode(question); err != nil {
		return err
	}
	line, err := p.lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	return json.Unmarshal(line, answer)
}

// withoutAWS is the environment without what would lead a client elsewhere.
func withoutAWS() (env []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "AWS_") {
			env = append(env, e)
		}
	}
	return append(env, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

// commandLine is the AWS CLI, as python/cli.py runs it. It has no types of errors.
type commandLine struct {
	called  string
	python  string   // which has the CLI
	refused int      // the exit code for what the server refused: version 2 has one of its own
	unknown []string // actions of SQS that it is too old for
}

func (e commandLine) name() string { return e.called }

func (e commandLine) lacks(action string) bool { return slices.Contains(e.unknown, action) }

func (e commandLine) missing() string {
	if out, err := exec.Command(e.python, "-c", "import awscli").CombinedOutput(); err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return ""
}

func (e commandLine) open(t *testing.T, s *server.Server, _ ...string) caller {
	t.Helper()
	p := talk(t, append(withoutAWS(), "AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=key",
		"AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER="), e.python, "python/cli.py")
	return func(ctx context.Context, service, action string, input in) (out, error) {
		text, err := json.Marshal(input)
		if err != nil {
			return nil, err
		}
		var ended struct {
			Code           int
			Stdout, Stderr string
		}
		if err := p.ask(ctx, []string{service, kebab(action), "--endpoint-url", s.SQS, "--output", "json",
			"--no-paginate", "--cli-input-json", plainBytes.ReplaceAllString(string(text), "$1")}, &ended); err != nil {
			return nil, err
		}
		if ended.Code != 0 {
			return nil, e.refusal(ended.Code, ended.Stderr)
		}
		var o out
		if ended.Stdout != "" {
			err = json.Unmarshal([]byte(ended.Stdout), &o)
		}
		return o, err
	}
}

// plainBytes are bytes as the command line has them: just base64.
var plainBytes = regexp.MustCompile(`\{"\$bytes":("[^"]*")\}`)

// kebab is the name of a command: "SendMessage" is send-message.
func kebab(action string) string {
	return strings.ToLower(capital.ReplaceAllString(action, "$1-$2"))
}

var capital = regexp.MustCompile(`([a-z])([A-Z])`)

// refusedBy is what the command line says of an error of the server.
var refusedBy = regexp.MustCompile(`An error occurred \((\S+)\) when calling the \S+ operation: (.*)`)

// refusal is the error of a command that has failed.
func (e commandLine) refusal(code int, stderr string) error {
	said := refusedBy.FindStringSubmatch(stderr)
	if said == nil || code != e.refused {
		return fmt.Errorf("exit code %d: %s", code, stderr)
	}
	return &refusal{Code: said[1], Message: said[2]}
}
