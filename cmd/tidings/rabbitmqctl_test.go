package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// amqpClient is the least that can speak AMQP: it holds a connection that rabbitmqctl can show.
type amqpClient struct {
	t  *testing.T
	nc net.Conn
}

// dialAMQP opens a connection with a channel. On it are a durable queue orders with arguments, bound
// to a topic exchange news, a consumer of it, and one message that it holds and has not settled. It
// returns the client's address.
func dialAMQP(t *testing.T, addr string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &amqpClient{t, nc}
	c.write([]byte("AMQP\x00\x00\x09\x01"))
	c.expect(10, 10)
	properties := short("connection_name") + "S" + long("warehouse")
	c.method(0, 10, 11, long(properties)+short("PLAIN")+long("\x00guest\x00guest")+short("en_US"))
	c.expect(10, 30)
	c.method(0, 10, 31, "\x00\x07"+"\x00\x02\x00\x00"+"\x00\x00")
	c.method(0, 10, 40, short("/")+short("")+"\x00")
	c.expect(10, 41)
	c.call(1, 20, 10, short("")) // channel.open
	arguments := short("x-max-priority") + "I" + "\x00\x00\x00\x03" + short("x-note") + "S" + long(`say "hi"`)
	c.call(1, 50, 10, "\x00\x00"+short("orders")+"\x02"+long(arguments))
	c.call(1, 40, 10, "\x00\x00"+short("news")+short("topic")+"\x02"+long(""))
	c.call(1, 50, 20, "\x00\x00"+short("orders")+short("news")+short("a.*")+"\x00"+long(""))
	c.call(1, 60, 10, "\x00\x00\x00\x00"+"\x00\x05"+"\x00") // basic.qos
	c.method(1, 60, 40, "\x00\x00"+short("")+short("orders")+"\x00")
	c.frame(2, 1, "\x00\x3c\x00\x00"+"\x00\x00\x00\x00\x00\x00\x00\x02"+"\x10\x00"+"\x02")
	c.frame(3, 1, "hi")
	c.call(1, 60, 20, "\x00\x00"+short("orders")+short("packer")+"\x00"+long(""))
	c.expect(60, 60)
	return nc.LocalAddr().String()
}

// call sends a method and awaits its answer, whose number is one more.
func (c *amqpClient) call(channel, class, method uint16, args string) {
	c.t.Helper()
	c.method(channel, class, method, args)
	c.expect(class, method+1)
}

func (c *amqpClient) method(channel, class, method uint16, args string) {
	c.t.Helper()
	head := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, class), method)
	c.frame(1, channel, string(head)+args)
}

func (c *amqpClient) frame(kind byte, channel uint16, payload string) {
	c.t.Helper()
	f := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	f = binary.BigEndian.AppendUint32(f, uint32(len(payload)))
	c.write(append(append(f, payload...), 0xCE))
}

func (c *amqpClient) write(p []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads the method that must come now.
func (c *amqpClient) expect(class, method uint16) {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	var head [7]byte
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		c.t.Fatal(err)
	}
	payload := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
	if _, err := io.ReadFull(c.nc, payload); err != nil {
		c.t.Fatal(err)
	}
	gotClass, gotMethod := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	if head[0] != 1 || gotClass != class || gotMethod != method {
		c.t.Fatalf("frame %d with method %d.%d, want %d.%d", head[0], gotClass, gotMethod, class, method)
	}
}

func short(s string) string { return string([]byte{byte(len(s))}) + s }

func long(s string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func TestALinkCalledRabbitmqctlActsAsIt(t *testing.T) {
	for _, c := range []struct{ line, want []string }{
		{[]string{"tidings", "ls"}, []string{"ls"}},
		{[]string{"/usr/local/bin/rabbitmqctl", "-q", "list_queues"}, []string{"rabbitmqctl", "-q", "list_queues"}},
		{[]string{`C:\tools\rabbitmqctl.exe`, "status"}, []string{"rabbitmqctl", "status"}},
		{[]string{"rabbitmq-diagnostics", "ping"}, []string{"rabbitmqctl", "ping"}},
		{[]string{"/srv/rabbitmqctl/tidings", "ls"}, []string{"ls"}},
	} {
		if got := arguments(c.line); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.line, got, c.want)
		}
	}
}

func TestColumnsAreNamedWithCommasOrBlanks(t *testing.T) {
	c := &ctl{a: &app{args: []string{"rabbitmqctl", "list_queues"}}, cmd: listQueues.command()}
	for _, x := range []struct {
		args []string
		want string
	}{
		{nil, "name messages"},
		{[]string{"messages", "name"}, "messages name"},
		{[]string{"name,durable", "type"}, "name durable type"},
		{[]string{"name, durable,", "name"}, "name durable"},
	} {
		c.args = x.args
		got, err := listQueues.chosen(c)
		if err != nil || strings.Join(got, " ") != x.want {
			t.Errorf("%q: got %q, %v, want %q", x.args, got, err, x.want)
		}
	}
	c.args = []string{"name", "colour,weight"}
	_, err := listQueues.chosen(c)
	f, ok := asCtlFailure(err)
	if !ok || f.exit != ctlUsage || !strings.Contains(f.text, "Info key(s) colour,weight are not supported") {
		t.Errorf("got %v, want wrong usage that names both", err)
	}
}

// formatted is what a list with every kind of value looks like in a form.
func formatted(t *testing.T, c ctl) string {
	t.Helper()
	var out bytes.Buffer
	c.a = &app{out: &out, term: terminal{}}
	err := c.write(ctlTable{columns: []string{"name", "arguments", "tags", "durable", "memory"},
		rows: []ctlRow{
			{`q"1`, ctlDoc{"b": []any{1.0, "x"}, "a": ctlDoc{"k": true}}, []any{"x", "y"}, true, nil},
			{"q2", ctlDoc{}, []any{}, false, 7},
		}, streamed: true})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestListsAreWrittenAsByRabbitmqctl(t *testing.T) {
	const header = "name\targuments\ttags\tdurable\tmemory\n"
	const rows = "q\"1\t[{\"a\",[{\"k\",true}]},{\"b\",[1,\"x\"]}]\t[x, y]\ttrue\t\n" +
		"q2\t[]\t[]\tfalse\t7\n"
	for _, c := range []struct {
		name string
		how  ctl
		want string
	}{
		{"table", ctl{}, header + rows},
		{"quiet", ctl{quiet: true}, header + rows},
		{"silent", ctl{silent: true}, rows},
		{"no headers", ctl{noHeaders: true}, rows},
		{"json", ctl{formatter: "json"}, "[\n" +
			`{"name":"q\"1","arguments":{"a":{"k":true},"b":[1,"x"]},"tags":["x","y"],"durable":true,"memory":""}` +
			"\n,{\"name\":\"q2\",\"arguments\":{},\"tags\":[],\"durable\":false,\"memory\":7}\n]\n"},
		{"csv", ctl{formatter: "csv"}, `"name","arguments","tags","durable","memory"` + "\n" +
			`"q""1","[{""a"",[{""k"",true}]},{""b"",[1,""x""]}]","[x, y]","true",""` + "\n" +
			`"q2","[]","[]","false","7"` + "\n"},
	} {
		if got := formatted(t, c.how); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestMemoryLimitsHaveUnits(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // of the document; or what is wrong
	}{
		{"0.4", "map[fraction:0.4]"},
		{"0", "map[fraction:0]"},
		{"absolute 1024", "map[bytes:1024]"},
		{"absolute 4GiB", "map[bytes:4294967296]"},
		{"absolute 4GB", "map[bytes:4000000000]"},
		{"absolute 2M", "map[bytes:2097152]"},
		{"1.1", "between 0.0 and 1.0"},
		{"NaN", "between 0.0 and 1.0"},
		{"much", "Bad argument."},
		{"absolute", "not enough arguments."},
		{"absolute 4XB", "Invalid units."},
		{"absolute 4BG", "Invalid units."},
		{"absolute 4.5GB", "should be an integer"},
		{"absolute 0", "out of range"},
		{"absolute 9000000000GiB", "out of range"},
		{"0.4 0.5", "too many arguments."},
	} {
		c2 := &ctl{a: &app{args: []string{"rabbitmqctl"}}, cmd: &ctlCommand{}, args: strings.Fields(c.args)}
		doc, err := c2.memoryLimit()
		if got := fmt.Sprint(doc); err == nil && got != c.want ||
			err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %s, %v, want %s", c.args, got, err, c.want)
		}
	}
}

func TestTheMachinesMemoryIsKnown(t *testing.T) {
	if got := machineMemory(); got < 64<<20 {
		t.Errorf("got %d bytes, want at least what this test takes", got)
	}
}

// A node that starts is waited for, and one that says no is not.
func TestStartupIsAwaited(t *testing.T) {
	answers := make(chan int, 3)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := <-answers
		w.WriteHeader(status)
		if status == http.StatusOK {
			io.WriteString(w, `{"node": "rabbit@here"}`)
		} else {
			io.WriteString(w, `{"reason": "Login failed"}`)
		}
	}))
	defer api.Close()
	env := map[string]string{"TIDINGS_MANAGEMENT_URL": api.URL}
	answers <- http.StatusServiceUnavailable
	answers <- http.StatusOK
	if got := start(t, env, "rabbitmqctl", "await_startup").wait(t); got != exitOK {
		t.Errorf("got exit code %d, want 0", got)
	}
	answers <- http.StatusUnauthorized
	if got := start(t, env, "rabbitmqctl", "await_startup").wait(t); got != ctlUnavailable {
		t.Errorf("got exit code %d, want %d", got, ctlUnavailable)
	}
}

func TestACommandEndsInItsTime(t *testing.T) {
	asked := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer api.Close()
	env := map[string]string{"TIDINGS_MANAGEMENT_URL": api.URL}
	list := start(t, env, "rabbitmqctl", "list_queues", "-t", "1")
	<-asked
	if got := list.wait(t); got != ctlTempFail || !strings.Contains(list.errOut.String(), "timed out") {
		t.Errorf("got exit code %d, %s, want %d", got, list.errOut, ctlTempFail)
	}
}

// What RabbitMQ's API tells as Erlang's terms is made readable.
func TestReasonsAreReadable(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			io.WriteString(w, `{}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":"bad_request",`+
			`"reason":["invalid_regexp",[40],[[109,105,115,115,105,110,103,32,41],1]]}`)
	}))
	defer api.Close()
	env := map[string]string{"TIDINGS_MANAGEMENT_URL": api.URL}
	set := start(t, env, "rabbitmqctl", "set_permissions", "alice", "(", "", "")
	if got := set.wait(t); got != ctlUnavailable ||
		set.errOut.String() != "Error:\ninvalid_regexp ( missing ) 1\n" {
		t.Errorf("got exit code %d, %s", got, set.errOut)
	}
}

func TestFailedChecksSayWhatThereIs(t *testing.T) {
	for _, c := range []struct {
		doc  ctlDoc
		want string
	}{
		{ctlDoc{"missing": 1, "ports": []any{5672, 15672}}, "No listener for port 1 is active on node n@h. " +
			"Found listeners that use the following ports: 5672, 15672"},
		{ctlDoc{"missing": "mqtt", "protocols": []any{"amqp"}}, "No listener for protocol mqtt is active on " +
			"node n@h. Found listeners for the following protocols: amqp"},
		{ctlDoc{"alarms": []any{ctlDoc{"node": "n@h", "resource": "disk"}, ctlDoc{"node": "n@h",
			"resource": "memory"}}}, "Free disk space alarm on node n@h\nMemory alarm on node n@h"},
		{ctlDoc{}, "something else"},
	} {
		got := whyFailed("n@h", &manageError{status: 503, reason: "something else", doc: c.doc})
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestEveryCommandOfRabbitmqctlIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, cmd := range ctlCommands() {
		names = append(names, cmd.name)
	}
	for name := range ctlRefused {
		names = append(names, name)
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/cli.md does not name %s", name)
		}
	}
}

// A password in an address is not shown, also where the address is wrong.
func TestErrorsShowNoPassword(t *testing.T) {
	for _, address := range []string{"http://ann:se%cret@host", "ftp://ann:se%cret@host", "ann:se%cret@host:1",
		"http://ann:se%cret@", "http://ann:se@cr/et%c@host"} {
		_, err := newManageClient(address)
		if err == nil || strings.Contains(err.Error(), "cret") || strings.Contains(err.Error(), "cr/et") {
			t.Errorf("%s: %v", address, err)
		}
	}
	c := &ctl{a: &app{args: []string{"rabbitmqctl", "--url", "http://ann:secret@host", "--url=http://ann:secret@host", "status"}},
		cmd: &ctlCommand{name: "status"}}
	if text := c.wrong(ctlUsage, "no").Error(); strings.Contains(text, "secret") || !strings.Contains(text, "ann") {
		t.Error(text)
	}
}
