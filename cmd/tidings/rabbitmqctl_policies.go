package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// ctlPolicyKind is policies, or operator policies: their path, the word in commands, and the words
// in what is written.
type ctlPolicyKind struct{ path, command, cleared, set, listed string }

var (
	policyKind         = ctlPolicyKind{"policies", "policy", "policy", "policy", "policies"}
	operatorPolicyKind = ctlPolicyKind{"operator-policies", "operator_policy", "operator policy",
		"operator policy override", "operator policy overrides"}
)

var ctlPolicyCommands = []*ctlCommand{
	policyKind.setCommand(), policyKind.clearCommand(), policyKind.listCommand("list_policies"),
	operatorPolicyKind.setCommand(), operatorPolicyKind.clearCommand(),
	operatorPolicyKind.listCommand("list_operator_policies"),
}

func (k ctlPolicyKind) setCommand() *ctlCommand {
	return &ctlCommand{name: "set_" + k.command, min: 3, max: 3,
		usage: "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> " +
			"<definition>",
		about: "Set arguments of queues and exchanges by their names: " + k.cleared,
		flags: func(c *ctl, f *pflag.FlagSet) {
			f.IntVar(&c.own.priority, "priority", 0, "of those that match, the highest counts")
			f.StringVar(&c.own.applyTo, "apply-to", "all", "queues, exchanges or all")
		},
		banner: func(c *ctl) string {
			return fmt.Sprintf("Setting %s \"%s\" for pattern \"%s\" to \"%s\" with priority \"%d\" "+
				"for vhost \"%s\" ...", k.set, c.args[0], c.args[1], c.args[2], c.own.priority, c.vhost)
		},
		run: k.put}
}

func (k ctlPolicyKind) put(ctx context.Context, c *ctl) error {
	definition := json.RawMessage(c.args[2])
	if !json.Valid(definition) {
		return ctlFailed(ctlUnavailable, "JSON decoding error. Reason: the definition is no JSON document")
	}
	err := c.api.put(ctx, ctlDoc{"pattern": c.args[1], "definition": definition, "priority": c.own.priority,
		"apply-to": c.own.applyTo}, k.path, c.vhost, c.args[0])
	switch {
	case isMissing(err):
		return noVhost(c.vhost)
	case err != nil:
		return failedWith(err)
	}
	return c.done(ctx)
}

func (k ctlPolicyKind) clearCommand() *ctlCommand {
	return &ctlCommand{name: "clear_" + k.command, usage: "[--vhost <vhost>] <name>", min: 1, max: 1,
		about: "Delete one: " + k.cleared,
		banner: func(c *ctl) string {
			return fmt.Sprintf("Clearing %s \"%s\" on vhost \"%s\" ...", k.cleared, c.args[0], c.vhost)
		},
		run: func(ctx context.Context, c *ctl) error {
			err := c.api.delete(ctx, k.path, c.vhost, c.args[0])
			if isMissing(err) {
				if isMissing(c.api.get(ctx, nil, "vhosts", c.vhost)) {
					return noVhost(c.vhost)
				}
				return ctlFailed(ctlUnavailable, "Parameter does not exist")
			}
			if err != nil {
				return failedWith(err)
			}
			return c.done(ctx)
		}}
}

func (k ctlPolicyKind) listCommand(name string) *ctlCommand {
	return &ctlCommand{name: name, usage: "[--vhost <vhost>] [--no-table-headers]",
		about: "List " + k.listed + " of a virtual host",
		banner: func(c *ctl) string {
			return fmt.Sprintf("Listing %s for vhost \"%s\" ...", k.listed, c.vhost)
		},
		run: func(ctx context.Context, c *ctl) error {
			var docs []ctlDoc
			switch err := c.api.get(ctx, &docs, k.path, c.vhost); {
			case isMissing(err):
				return noVhost(c.vhost)
			case err != nil:
				return failedWith(err)
			}
			columns := strings.Fields("vhost name pattern apply-to definition priority")
			l := ctlList{values: map[string]func(ctlDoc) any{
				"definition": func(doc ctlDoc) any { return jsonText(doc["definition"]) }}}
			return c.write(ctlTable{columns: columns, rows: l.rows(columns, docs)})
		}}
}
