package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// ctlDoc is a document of the management API.
type ctlDoc = map[string]any

// ctlList is a command that lists objects, with columns to choose from.
type ctlList struct {
	name, about string
	banner      func(*ctl) string
	path        func(*ctl) []string
	columns     string // all that there are
	shown       string // those that are shown where none is chosen
	// values say what stands in a column whose name is not that of a field.
	values map[string]func(ctlDoc) any
	flags  func(*ctl, *pflag.FlagSet)
	keep   func(*ctl) bool // nil: lists all
	whole  bool            // not streamed
}

var ctlListCommands = []*ctlCommand{
	listConnections.command(), listChannels.command(), listConsumers.command(), listQueues.command(),
	listExchanges.command(), listBindings.command(),
}

func (l *ctlList) command() *ctlCommand {
	return &ctlCommand{name: l.name, usage: "[--vhost <vhost>] [--no-table-headers] [<column> ...]",
		about: l.about, max: -1, flags: l.flags, banner: l.banner,
		check: func(c *ctl) error {
			_, err := l.chosen(c)
			return err
		},
		run: l.run}
}

// chosen are the columns that the arguments name, with commas or blanks between them.
func (l *ctlList) chosen(c *ctl) (columns []string, err error) {
	var unknown []string
	all := strings.Fields(l.columns)
	for _, arg := range c.args {
		for name := range strings.SplitSeq(arg, ",") {
			name = strings.TrimSpace(name)
			switch {
			case name == "" || slices.Contains(columns, name):
			case !slices.Contains(all, name):
				unknown = append(unknown, name)
			default:
				columns = append(columns, name)
			}
		}
	}
	if unknown != nil {
		return nil, c.wrong(ctlUsage, "Info key(s) %s are not supported: there are %s",
			strings.Join(unknown, ","), strings.Join(all, ", "))
	}
	if columns == nil {
		columns = strings.Fields(l.shown)
	}
	return columns, nil
}

func (l *ctlList) run(ctx context.Context, c *ctl) error {
	columns, err := l.chosen(c)
	if err != nil {
		return err
	}
	var docs []ctlDoc
	if l.keep == nil || l.keep(c) {
		// Of a virtual host that is not there nothing is listed, as by rabbitmqctl.
		if err := c.api.get(ctx, &docs, l.path(c)...); err != nil && !isMissing(err) {
			return failedWith(err)
		}
	}
	return c.write(ctlTable{columns, l.rows(columns, docs), !l.whole})
}

func (l *ctlList) rows(columns []string, docs []ctlDoc) (rows []ctlRow) {
	for _, doc := range docs {
		row := make(ctlRow, len(columns))
		for i, name := range columns {
			if value := l.values[name]; value != nil {
				row[i] = value(doc)
			} else {
				row[i] = doc[name]
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// failedWith is an error of the API as rabbitmqctl would tell it.
func failedWith(err error) error {
	var f *ctlFailure
	if e, ok := err.(*manageError); ok {
		return ctlFailed(ctlUnavailable, "%s", e.reason)
	} else if f, ok = asCtlFailure(err); ok {
		return f
	}
	return err
}

var listConnections = ctlList{
	name: "list_connections", about: "List AMQP connections",
	banner: func(*ctl) string { return "Listing connections ..." },
	path:   func(*ctl) []string { return []string{"connections"} },
	columns: "pid name port host peer_port peer_host ssl ssl_protocol ssl_key_exchange ssl_cipher " +
		"ssl_hash peer_cert_subject peer_cert_issuer peer_cert_validity state channels protocol " +
		"auth_mechanism user vhost timeout frame_max channel_max client_properties recv_oct recv_cnt " +
		"send_oct send_cnt send_pend connected_at",
	shown: "user peer_host peer_port state",
	values: map[string]func(ctlDoc) any{
		"pid": namePID,
		"protocol": func(doc ctlDoc) any {
			if doc["protocol"] == "AMQP 0-9-1" {
				return "{0,9,1}"
			}
			return doc["protocol"]
		},
		"client_properties": tableOf("client_properties"),
	},
}

var listChannels = ctlList{
	name: "list_channels", about: "List open channels",
	banner: func(*ctl) string { return "Listing channels ..." },
	path:   func(*ctl) []string { return []string{"channels"} },
	columns: "pid connection name number user vhost transactional confirm consumer_count " +
		"messages_unacknowledged messages_uncommitted acks_uncommitted messages_unconfirmed " +
		"prefetch_count global_prefetch_count",
	shown: "pid user consumer_count messages_unacknowledged",
	values: map[string]func(ctlDoc) any{
		"pid":        namePID,
		"connection": func(doc ctlDoc) any { return pidOf(inner(doc, "connection_details")["name"]) },
	},
}

var listConsumers = ctlList{
	name: "list_consumers", about: "List consumers of a virtual host",
	banner:  func(c *ctl) string { return fmt.Sprintf("Listing consumers in vhost %s ...", c.vhost) },
	path:    func(c *ctl) []string { return []string{"consumers", c.vhost} },
	columns: "queue_name channel_pid consumer_tag ack_required prefetch_count active activity_status arguments",
	shown:   "queue_name channel_pid consumer_tag ack_required prefetch_count active arguments",
	values: map[string]func(ctlDoc) any{
		"queue_name":  func(doc ctlDoc) any { return inner(doc, "queue")["name"] },
		"channel_pid": func(doc ctlDoc) any { return namePID(inner(doc, "channel_details")) },
		"arguments":   tableOf("arguments"),
	},
}

var listQueues = ctlList{
	name: "list_queues", about: "List queues of a virtual host",
	banner: func(c *ctl) string {
		return fmt.Sprintf("Timeout: %.1f seconds ...\nListing queues for vhost %s ...",
			c.patience().Seconds(), c.vhost)
	},
	path: func(c *ctl) []string { return []string{"queues", c.vhost} },
	columns: "name durable auto_delete arguments policy operator_policy effective_policy_definition pid " +
		"owner_pid exclusive exclusive_consumer_pid exclusive_consumer_tag messages_ready " +
		"messages_unacknowledged messages messages_ready_ram messages_unacknowledged_ram messages_ram " +
		"messages_persistent message_bytes message_bytes_ready message_bytes_unacknowledged " +
		"message_bytes_ram message_bytes_persistent head_message_timestamp disk_reads disk_writes " +
		"consumers consumer_utilisation consumer_capacity memory state type leader members online",
	shown: "name messages",
	values: map[string]func(ctlDoc) any{
		"arguments":                   tableOf("arguments"),
		"effective_policy_definition": tableOf("effective_policy_definition"),
		"owner_pid":                   func(doc ctlDoc) any { return pidOf(inner(doc, "owner_pid_details")["name"]) },
		"exclusive_consumer_pid":      func(ctlDoc) any { return nil },
		"pid":                         func(ctlDoc) any { return nil },
	},
	flags: func(c *ctl, f *pflag.FlagSet) {
		f.BoolVar(&c.own.online, "online", false, "those of nodes that run")
		f.BoolVar(&c.own.offline, "offline", false, "those of nodes that do not run: none")
		f.BoolVar(&c.own.local, "local", false, "those of this node: all")
	},
	keep: func(c *ctl) bool { return !c.own.offline || c.own.online || c.own.local },
}

var listExchanges = ctlList{
	name: "list_exchanges", about: "List exchanges of a virtual host",
	banner:  func(c *ctl) string { return fmt.Sprintf("Listing exchanges for vhost %s ...", c.vhost) },
	path:    func(c *ctl) []string { return []string{"exchanges", c.vhost} },
	columns: "name type durable auto_delete internal arguments policy", shown: "name type",
	values: map[string]func(ctlDoc) any{"arguments": tableOf("arguments")},
}

var listBindings = ctlList{
	name: "list_bindings", about: "List bindings of a virtual host",
	banner:  func(c *ctl) string { return fmt.Sprintf("Listing bindings for vhost %s...", c.vhost) },
	path:    func(c *ctl) []string { return []string{"bindings", c.vhost} },
	columns: "source_name source_kind destination_name destination_kind routing_key arguments",
	shown:   "source_name source_kind destination_name destination_kind routing_key arguments",
	values: map[string]func(ctlDoc) any{
		"source_name":      func(doc ctlDoc) any { return doc["source"] },
		"source_kind":      func(ctlDoc) any { return "exchange" },
		"destination_name": func(doc ctlDoc) any { return doc["destination"] },
		"destination_kind": func(doc ctlDoc) any { return doc["destination_type"] },
		"arguments":        tableOf("arguments"),
	},
}

// tableOf is a field that holds a table of arguments, which RabbitMQ's API writes as [] if empty.
func tableOf(name string) func(ctlDoc) any {
	return func(doc ctlDoc) any {
		if list, ok := doc[name].([]any); ok && len(list) == 0 {
			return ctlDoc{}
		}
		return doc[name]
	}
}

func inner(doc ctlDoc, name string) ctlDoc {
	d, _ := doc[name].(ctlDoc)
	return d
}

// A pid of RabbitMQ is a number of Erlang's, which the API does not tell. In its place stands a
// word without blanks that close_connection understands: the name of the connection.
func namePID(doc ctlDoc) any { return pidOf(doc["name"]) }

func pidOf(name any) any {
	text, ok := name.(string)
	if !ok {
		return nil
	}
	return "<" + pidReplacer.Replace(text) + ">"
}

var pidReplacer = strings.NewReplacer(" -> ", "-", " (", ".", ")", "", " ", "_")
