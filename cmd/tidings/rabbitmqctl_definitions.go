package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// definitionsPatience is how long an export or import may take.
const definitionsPatience = 5 * time.Minute

var ctlDefinitionCommands = []*ctlCommand{
	{name: "export_definitions", usage: `<file_path | "-"> [--format json]`, min: 1, max: 1,
		about: "Write users, permissions, virtual hosts, policies, exchanges, queues and bindings to a file",
		flags: formatFlag, check: checkExport, patience: definitionsPatience,
		banner: func(c *ctl) string {
			if c.args[0] == "-" { // the document is all that is written
				return ""
			}
			return fmt.Sprintf("Exporting definitions in JSON to a file at \"%s\" ...", c.args[0])
		},
		run: exportDefinitions},
	{name: "import_definitions", usage: "[<file_path>] [--format json]", max: 1,
		about: "Make what such a file says, from standard input if none is named",
		flags: formatFlag, check: checkImport, patience: definitionsPatience,
		banner: func(c *ctl) string {
			if fromStdin(c) {
				return "Importing definitions in JSON from standard input ..."
			}
			return fmt.Sprintf("Importing definitions in JSON from a file at \"%s\" ...", c.args[0])
		},
		run: importDefinitions},
}

func formatFlag(c *ctl, f *pflag.FlagSet) {
	f.StringVar(&c.own.format, "format", "json", "json")
}

func (c *ctl) checkFormat() error {
	if !strings.EqualFold(c.own.format, "json") {
		return c.wrong(ctlDataErr, "Bad argument: Format should be json: there is no Erlang here")
	}
	return nil
}

func checkExport(c *ctl) error {
	if err := c.checkFormat(); err != nil || c.args[0] == "-" {
		return err
	}
	dir := filepath.Dir(c.args[0])
	if _, err := os.Stat(dir); err != nil {
		return c.wrong(ctlDataErr, "Bad argument: Directory %s does not exist", dir)
	}
	return nil
}

func checkImport(c *ctl) error {
	if err := c.checkFormat(); err != nil || fromStdin(c) {
		return err
	}
	if _, err := os.Stat(c.args[0]); err != nil {
		return c.wrong(ctlDataErr, "Bad argument: File %s does not exist", c.args[0])
	}
	return nil
}

func fromStdin(c *ctl) bool { return len(c.args) == 0 || c.args[0] == "-" }

func exportDefinitions(ctx context.Context, c *ctl) error {
	var doc json.RawMessage
	if err := c.api.get(ctx, &doc, "definitions"); err != nil {
		return failedWith(err)
	}
	if c.args[0] == "-" {
		_, err := fmt.Fprintln(c.a.out, string(doc))
		return err
	}
	// Hashes of passwords are nobody else's business.
	if err := os.WriteFile(c.args[0], doc, 0o600); err != nil {
		return ctlFailed(ctlDataErr, "Could not write to file %s: %s", c.args[0], rootCause(err))
	}
	return c.done(ctx)
}

func importDefinitions(ctx context.Context, c *ctl) error {
	doc, err := c.definitions()
	if err != nil {
		return err
	}
	err = c.api.call(ctx, manageCall{method: http.MethodPost, path: []string{"definitions"}, body: doc})
	if err != nil {
		return failedWith(err)
	}
	if c.outputLess() || c.formatter == "json" {
		return c.done(ctx)
	}
	return c.tell("Successfully imported definitions.")
}

// definitions is what is to be imported.
func (c *ctl) definitions() (json.RawMessage, error) {
	var in io.Reader = c.a.in
	if !fromStdin(c) {
		f, err := os.Open(c.args[0])
		if err != nil {
			return nil, ctlFailed(ctlDataErr, "%s", err)
		}
		defer f.Close()
		in = f
	}
	doc, err := io.ReadAll(io.LimitReader(in, answerBytes))
	switch {
	case err != nil:
		return nil, ctlFailed(ctlDataErr, "%s", err)
	case !json.Valid(doc):
		return nil, ctlFailed(ctlDataErr, "Failed to deserialise input (format: JSON)")
	}
	return doc, nil
}
