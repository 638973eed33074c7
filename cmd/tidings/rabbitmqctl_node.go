package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// ctlVersion is the version of rabbitmqctl whose output this is.
const ctlVersion = "4.0.0"

// startupPatience is how long await_startup waits.
const startupPatience = 5 * time.Minute

var ctlNodeCommands = []*ctlCommand{
	{name: "status", usage: "[--unit <unit>]", about: "Say how the node is",
		flags: func(c *ctl, f *pflag.FlagSet) {
			f.Var(&choice{&c.own.unit, []string{"bytes", "mb", "mib", "gb", "gib"}}, "unit",
				"of sizes: bytes, mb, mib, gb, gib (default gb)")
		},
		run: status},
	{name: "ping", about: "Say whether the management API answers", run: ping},
	{name: "await_startup", about: "Wait until the node has started", patience: startupPatience,
		run: awaitStartup},
	{name: "version", about: "Say which version of rabbitmqctl this acts as",
		run: func(_ context.Context, c *ctl) error {
			if c.formatter == "json" {
				fmt.Fprintln(c.a.out, jsonText(ctlDoc{"version": ctlVersion}))
				return nil
			}
			return c.tell(ctlVersion)
		}},
	checkCommand("check_running", "Fail unless the node runs", 0, "",
		func(c *ctl, node string) (check, string, string) {
			return check{"overview"}, fmt.Sprintf("Checking if RabbitMQ is running on node %s ...", node),
				fmt.Sprintf("RabbitMQ on node %s is fully booted and running", node)
		}),
	checkCommand("check_alarms", "Fail if publishers are held back: by memory or the disk", 0, "",
		func(c *ctl, node string) (check, string, string) {
			return check{"health", "checks", "alarms"},
				fmt.Sprintf("Asking node %s to report any local resource alarms ...", node),
				fmt.Sprintf("Node %s reported no alarms, local or clusterwide", node)
		}),
	checkCommand("check_local_alarms", "The same of this node", 0, "",
		func(c *ctl, node string) (check, string, string) {
			return check{"health", "checks", "local-alarms"},
				fmt.Sprintf("Asking node %s to report any local resource alarms ...", node),
				fmt.Sprintf("Node %s reported no local alarms", node)
		}),
	checkCommand("check_port_listener", "Fail unless something listens on a port", 1, "<port>",
		func(c *ctl, node string) (check, string, string) {
			return check{"health", "checks", "port-listener", c.args[0]},
				fmt.Sprintf("Asking node %s if there's an active listener on port %s ...", node, c.args[0]),
				fmt.Sprintf("A listener for port %s is running on node %s.", c.args[0], node)
		}),
	checkCommand("check_protocol_listener", "Fail unless a protocol is spoken", 1, "<protocol>",
		func(c *ctl, node string) (check, string, string) {
			return check{"health", "checks", "protocol-listener", c.args[0]},
				fmt.Sprintf("Asking node %s if there's an active listener for protocol %s ...", node, c.args[0]),
				fmt.Sprintf("A listener for protocol %s is running on node %s.", c.args[0], node)
		}),
	checkCommand("check_virtual_hosts", "Fail unless all virtual hosts work", 0, "",
		func(c *ctl, node string) (check, string, string) {
			return check{"health", "checks", "virtual-hosts"},
				fmt.Sprintf("Checking if all vhosts are running on node %s ...", node),
				fmt.Sprintf("Node %s reported all vhosts as running", node)
		}),
	{name: "set_vm_memory_high_watermark", usage: "<fraction> | absolute <value>", min: 1, max: 2,
		about: "Have publishers wait above a share of the machine's memory, or a size",
		check: func(c *ctl) error {
			_, err := c.memoryLimit()
			return err
		},
		run: setMemory},
}

func ping(ctx context.Context, c *ctl) error {
	node, err := c.nodeName(ctx)
	if err != nil {
		return failedWith(err)
	}
	c.say(func(*ctl) string {
		return fmt.Sprintf("Will ping %s. This only checks if the management API answers. Timeout: %d ms.",
			node, c.patience().Milliseconds())
	})
	return c.tell("Ping succeeded")
}

// awaitEvery is how often await_startup looks.
const awaitEvery = 200 * time.Millisecond

// awaitStartup asks until there is an answer. One who may not ask will not be let in later.
func awaitStartup(ctx context.Context, c *ctl) error {
	for {
		_, err := c.nodeName(ctx)
		var answered *manageError
		switch {
		case err == nil:
			return c.done(ctx)
		case errors.As(err, &answered) && answered.status < http.StatusInternalServerError:
			return failedWith(err)
		}
		if waitErr := c.pause(ctx, awaitEvery); waitErr != nil {
			return err
		}
	}
}

// check is the path of a health check.
type check []string

// checkCommand makes a command of a health check; what says its path, and what is told before, and
// after it has passed.
func checkCommand(name, about string, args int, usage string,
	what func(c *ctl, node string) (path check, banner, passed string)) *ctlCommand {
	return &ctlCommand{name: name, usage: usage, about: about, min: args, max: args, check: portNumber,
		run: func(ctx context.Context, c *ctl) error {
			node, err := c.nodeName(ctx)
			if err != nil {
				return failedWith(err)
			}
			path, banner, passed := what(c, node)
			c.say(func(*ctl) string { return banner })
			switch err := c.api.get(ctx, nil, path...); {
			case isStatus(err, http.StatusServiceUnavailable):
				return c.checkFailed(node, err)
			case err != nil:
				return failedWith(err)
			case c.silent:
				return nil
			case c.formatter == "json":
				fmt.Fprintln(c.a.out, jsonText(ctlDoc{"node": node, "result": "ok"}))
				return nil
			}
			return c.tell("%s", passed)
		}}
}

func portNumber(c *ctl) error {
	if c.cmd.usage != "<port>" {
		return nil
	}
	if n, err := strconv.Atoi(c.args[0]); err != nil || n < 1 {
		return c.wrong(ctlDataErr, "Bad argument: the port must be a positive number")
	}
	return nil
}

// checkFailed is what a health check says that has not passed; nothing where a script only asks for
// the exit code.
func (c *ctl) checkFailed(node string, err error) error {
	text := whyFailed(node, err)
	switch {
	case c.silent:
		text = ""
	case c.formatter == "json":
		text = jsonText(ctlDoc{"result": "error", "message": text})
	}
	return &ctlFailure{ctlUnavailable, text}
}

// whyFailed puts the document of a health check into rabbitmqctl's words.
func whyFailed(node string, err error) string {
	var e *manageError
	if !errors.As(err, &e) {
		return err.Error()
	}
	words := func(name string) string {
		list, _ := e.doc[name].([]any)
		return strings.Trim(cell(list), "[]")
	}
	switch {
	case e.doc["ports"] != nil:
		return fmt.Sprintf("No listener for port %v is active on node %s. Found listeners that use the "+
			"following ports: %s", e.doc["missing"], node, words("ports"))
	case e.doc["protocols"] != nil:
		return fmt.Sprintf("No listener for protocol %v is active on node %s. Found listeners for the "+
			"following protocols: %s", e.doc["missing"], node, words("protocols"))
	}
	var lines []string
	alarms, _ := e.doc["alarms"].([]any)
	for _, a := range alarms {
		alarm, _ := a.(ctlDoc)
		what := alarmWords[fmt.Sprint(alarm["resource"])]
		lines = append(lines, fmt.Sprintf("%s alarm on node %v", what, alarm["node"]))
	}
	if lines == nil {
		return e.reason
	}
	return strings.Join(lines, "\n")
}

var alarmWords = map[string]string{"memory": "Memory", "disk": "Free disk space"}

// memoryUnits are those of rabbitmqctl, without a unit bytes.
var memoryUnits = map[string]int64{"": 1, "k": 1 << 10, "kiB": 1 << 10, "M": 1 << 20, "MiB": 1 << 20,
	"G": 1 << 30, "GiB": 1 << 30, "kB": 1e3, "MB": 1e6, "GB": 1e9}

// memoryLimit is the document that the arguments of set_vm_memory_high_watermark make.
func (c *ctl) memoryLimit() (ctlDoc, error) {
	if c.args[0] == "absolute" {
		return c.absoluteLimit()
	}
	if len(c.args) > 1 {
		return nil, c.wrong(ctlUsage, "too many arguments.")
	}
	share, err := strconv.ParseFloat(c.args[0], 64)
	switch {
	case err != nil:
		return nil, c.wrong(ctlDataErr, "Bad argument.")
	case !(share >= 0 && share <= 1):
		return nil, c.wrong(ctlDataErr, "Bad argument: The threshold should be a fraction between 0.0 and 1.0")
	}
	return ctlDoc{"fraction": share}, nil
}

func (c *ctl) absoluteLimit() (ctlDoc, error) {
	if len(c.args) < 2 {
		return nil, c.wrong(ctlUsage, "not enough arguments.")
	}
	digits := strings.TrimRight(c.args[1], "kKMGTiB")
	unit, known := memoryUnits[c.args[1][len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil && strings.Contains(digits, "."):
		return nil, c.wrong(ctlDataErr, "Bad argument: The threshold should be an integer.")
	case err != nil || !known:
		return nil, c.wrong(ctlDataErr, "Bad argument: Invalid units.")
	case n < 1 || n > 1<<62/unit:
		return nil, c.wrong(ctlDataErr, "Bad argument: the threshold is out of range")
	}
	return ctlDoc{"bytes": n * unit}, nil
}

// setMemory uses a path of the API that is Tidings' own.
func setMemory(ctx context.Context, c *ctl) error {
	limit, err := c.memoryLimit()
	if err != nil {
		return err
	}
	node, err := c.nodeName(ctx)
	if err != nil {
		return failedWith(err)
	}
	c.say(func(*ctl) string {
		if c.args[0] == "absolute" {
			return fmt.Sprintf("Setting memory threshold on %s to %s bytes ...", node, c.args[1])
		}
		return fmt.Sprintf("Setting memory threshold on %s to %s ...", node, c.args[0])
	})
	err = c.api.put(ctx, limit, "nodes", node, "memory-limit")
	switch {
	case isMissing(err), isStatus(err, http.StatusMethodNotAllowed):
		return ctlFailed(ctlUnavailable, "the server at %s has no memory limit that can be set over its "+
			"management API: it is no tidings", c.api.shown())
	case err != nil:
		return failedWith(err)
	}
	return c.done(ctx)
}

// ctlNode is a node of the API.
type ctlNode struct {
	Name      string `json:"name"`
	PID       string `json:"os_pid"`
	Uptime    int64  `json:"uptime"` // ms
	Drained   bool   `json:"being_drained"`
	MemUsed   int64  `json:"mem_used"`
	MemLimit  int64  `json:"mem_limit"`
	MemAlarm  bool   `json:"mem_alarm"`
	Files     int64  `json:"fd_used"`
	DiskFree  int64  `json:"disk_free"`
	DiskAlarm bool   `json:"disk_free_alarm"`
}

// ctlOverview is the part of the API's overview that status shows.
type ctlOverview struct {
	Node    string `json:"node"`
	Version string `json:"rabbitmq_version"`
	Product string `json:"product_name"`
	Totals  struct {
		Connections int `json:"connections"`
		Queues      int `json:"queues"`
	} `json:"object_totals"`
	Listeners []struct {
		Protocol string `json:"protocol"`
		Address  string `json:"ip_address"`
		Port     int    `json:"port"`
	} `json:"listeners"`
}

// status shows the sections of rabbitmqctl's as far as there is something to know.
func status(ctx context.Context, c *ctl) error {
	var overview ctlOverview
	var node ctlNode
	var vhosts []ctlDoc
	err := c.api.get(ctx, &overview, "overview")
	if err == nil {
		err = c.api.get(ctx, &node, "nodes", overview.Node)
	}
	if err == nil {
		err = c.api.get(ctx, &vhosts, "vhosts")
	}
	if err != nil {
		return failedWith(err)
	}
	if c.formatter == "json" {
		fmt.Fprintln(c.a.out, jsonText(statusDoc(&overview, &node, len(vhosts))))
		return nil
	}
	c.say(func(*ctl) string { return fmt.Sprintf("Status of node %s ...", overview.Node) })
	c.printStatus(&overview, &node, len(vhosts))
	return nil
}

func (n *ctlNode) alarms() (all []string) {
	if n.MemAlarm {
		all = append(all, "memory")
	}
	if n.DiskAlarm {
		all = append(all, "disk")
	}
	return all
}

func statusDoc(o *ctlOverview, n *ctlNode, vhosts int) ctlDoc {
	listeners := []ctlDoc{}
	for _, l := range o.Listeners {
		listeners = append(listeners, ctlDoc{"node": o.Node, "protocol": l.Protocol, "interface": l.Address,
			"port": l.Port, "purpose": purposeOf(l.Protocol)})
	}
	pid, _ := strconv.Atoi(n.PID)
	return ctlDoc{"pid": pid, "uptime": n.Uptime / 1000, "rabbitmq_version": o.Version,
		"product_name": o.Product, "is_under_maintenance": n.Drained, "alarms": slices.Concat([]string{}, n.alarms()),
		"memory":                         ctlDoc{"total": n.MemUsed},
		"vm_memory_high_watermark_limit": n.MemLimit, "disk_free": n.DiskFree,
		"file_descriptors": ctlDoc{"total_used": n.Files}, "listeners": listeners,
		"totals": ctlDoc{"connection_count": o.Totals.Connections, "queue_count": o.Totals.Queues,
			"virtual_host_count": vhosts}}
}

func (c *ctl) printStatus(o *ctlOverview, n *ctlNode, vhosts int) {
	section := func(title string, lines ...string) {
		fmt.Fprintf(c.a.out, "%s\n\n%s\n", c.a.term.out.paint(bold, title), strings.Join(lines, "\n"))
	}
	next := func(title string, lines ...string) {
		fmt.Fprintln(c.a.out)
		section(title, lines...)
	}
	section("Runtime", "OS PID: "+n.PID, fmt.Sprintf("Uptime (seconds): %d", n.Uptime/1000),
		fmt.Sprintf("Is under maintenance?: %t", n.Drained), "RabbitMQ version: "+o.Version,
		"Node name: "+o.Node)
	alarms := n.alarms()
	for i, resource := range alarms {
		alarms[i] = alarmWords[resource] + " alarm on node " + o.Node
	}
	next("Alarms", orNone(alarms)...)
	limit := "(none)"
	if n.MemLimit > 0 {
		limit = c.size(n.MemLimit)
	}
	next("Memory", "Total memory used: "+c.size(n.MemUsed), "Memory high watermark setting: "+limit)
	next("File Descriptors", fmt.Sprintf("Total: %d", n.Files))
	next("Free Disk Space", "Free disk space: "+c.size(n.DiskFree))
	next("Totals", fmt.Sprintf("Connection count: %d", o.Totals.Connections),
		fmt.Sprintf("Queue count: %d", o.Totals.Queues), fmt.Sprintf("Virtual host count: %d", vhosts))
	var listeners []string
	for _, l := range o.Listeners {
		address := l.Address
		if strings.Contains(address, ":") {
			address = "[" + address + "]"
		}
		listeners = append(listeners, fmt.Sprintf("Interface: %s, port: %d, protocol: %s, purpose: %s",
			address, l.Port, l.Protocol, purposeOf(l.Protocol)))
	}
	next("Listeners", orNone(listeners)...)
}

func orNone(lines []string) []string {
	if len(lines) == 0 {
		return []string{"(none)"}
	}
	return lines
}

// size is a number of bytes in the unit asked for.
func (c *ctl) size(n int64) string {
	unit := c.own.unit
	if unit == "" {
		unit = "gb"
	}
	divide := map[string]float64{"mb": 1e6, "mib": 1 << 20, "gb": 1e9, "gib": 1 << 30}[unit]
	if divide == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	text := strconv.FormatFloat(float64(n)/divide, 'f', 4, 64)
	text = strings.TrimRight(text, "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	return text + " " + unit
}

func purposeOf(protocol string) string {
	switch protocol {
	case "amqp":
		return "AMQP 0-9-1"
	case "amqp/ssl":
		return "AMQP 0-9-1 over TLS"
	case "http":
		return "HTTP API"
	case "https":
		return "HTTP API over TLS (HTTPS)"
	case "clustering":
		return "inter-node and CLI tool communication"
	}
	return protocol
}
