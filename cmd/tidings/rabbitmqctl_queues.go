package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

var ctlQueueCommands = []*ctlCommand{
	{name: "purge_queue", usage: "[--vhost <vhost>] <queue>", min: 1, max: 1,
		about: "Remove the messages that wait in a queue",
		banner: func(c *ctl) string {
			return fmt.Sprintf("Purging queue '%s' in vhost '%s' ...", c.args[0], c.vhost)
		},
		run: func(ctx context.Context, c *ctl) error {
			switch err := c.api.delete(ctx, "queues", c.vhost, c.args[0], "contents"); {
			case isMissing(err):
				return ctlFailed(ctlUnavailable, "not_found")
			case err != nil:
				return failedWith(err)
			}
			return c.done(ctx)
		}},
	{name: "delete_queue", usage: "[--vhost <vhost>] <queue_name> [--if-empty|-e] [--if-unused|-u]",
		min: 1, max: 1, about: "Delete a queue",
		flags: func(c *ctl, f *pflag.FlagSet) {
			f.BoolVarP(&c.own.ifEmpty, "if-empty", "e", false, "only if no message waits in it")
			f.BoolVarP(&c.own.ifUnused, "if-unused", "u", false, "only if it has no consumer")
		},
		check: func(c *ctl) error {
			if c.args[0] == "" {
				return c.wrong(ctlDataErr, "Bad argument: queue name cannot be an empty string")
			}
			return nil
		},
		banner: deleteQueueBanner, run: deleteQueue},
	{name: "close_connection", usage: "<connection name or pid> <explanation>", min: 2, max: 2,
		about: "Close one connection; its name and pid are columns of list_connections",
		banner: func(c *ctl) string {
			return fmt.Sprintf("Closing connection %s, reason: %s...", c.args[0], c.args[1])
		},
		run: closeConnection},
	{name: "close_all_connections", usage: "[--vhost <vhost>] [--limit <limit>] [--global] " +
		"[--per-connection-delay <delay>] <explanation>", min: 1, max: 1,
		about: "Close all connections of a virtual host",
		flags: func(c *ctl, f *pflag.FlagSet) {
			f.BoolVar(&c.own.global, "global", false, "of all virtual hosts")
			f.IntVar(&c.own.limit, "limit", 0, "no more than so many")
			f.IntVar(&c.own.delay, "per-connection-delay", 0, "milliseconds after each")
		},
		banner: closeAllBanner, run: closeAllConnections},
	{name: "close_all_user_connections", usage: "<username> <explanation>", min: 2, max: 2,
		about: "Close all connections of a user",
		banner: func(c *ctl) string {
			return fmt.Sprintf("Closing connections of user %s, reason: %s...", c.args[0], c.args[1])
		},
		run: func(ctx context.Context, c *ctl) error {
			_, err := c.closeThose(ctx, c.args[1], func(doc ctlDoc) bool { return doc["user"] == c.args[0] })
			if err != nil {
				return err
			}
			return c.done(ctx)
		}},
}

func deleteQueueBanner(c *ctl) string {
	var only []string
	if c.own.ifEmpty {
		only = append(only, "if queue is empty ")
	}
	if c.own.ifUnused {
		only = append(only, "if queue is unused ")
	}
	return fmt.Sprintf("Deleting queue '%s' on vhost '%s' %s...", c.args[0], c.vhost,
		strings.Join(only, "and "))
}

// deleteQueue tells how many messages the queue had shortly before.
func deleteQueue(ctx context.Context, c *ctl) error {
	var queue struct {
		Ready int64 `json:"messages_ready"`
	}
	err := c.api.get(ctx, &queue, "queues", c.vhost, c.args[0])
	if err == nil {
		query := url.Values{}
		if c.own.ifEmpty {
			query.Set("if-empty", "true")
		}
		if c.own.ifUnused {
			query.Set("if-unused", "true")
		}
		err = c.api.call(ctx, manageCall{method: http.MethodDelete,
			path: []string{"queues", c.vhost, c.args[0]}, query: query})
	}
	switch {
	case err == nil:
		return c.tell("Queue was successfully deleted with %d ready messages", queue.Ready)
	case isMissing(err):
		return ctlFailed(ctlUsage, "Queue not found")
	case isStatus(err, http.StatusBadRequest) && strings.HasSuffix(err.Error(), "not empty"):
		return ctlFailed(ctlUsage, "Queue is not empty")
	case isStatus(err, http.StatusBadRequest) && strings.HasSuffix(err.Error(), "in use"):
		return ctlFailed(ctlUsage, "Queue is in use")
	case isStatus(err, http.StatusBadRequest) && strings.Contains(err.Error(), "locked queue"):
		return ctlFailed(ctlUsage, "The queue is locked or protected from deletion: its owner deletes it")
	}
	return failedWith(err)
}

// closeConnection closes by name, or by what list_connections says is the pid. As by rabbitmqctl,
// a pid whose connection is closed already is no error; a name that nobody has is one.
func closeConnection(ctx context.Context, c *ctl) error {
	n, err := c.closeThose(ctx, c.args[1], func(doc ctlDoc) bool {
		return doc["name"] == c.args[0] || namePID(doc) == c.args[0]
	})
	switch {
	case err != nil:
		return err
	case n == 0 && !strings.HasPrefix(c.args[0], "<"):
		return ctlFailed(ctlUnavailable, "not_found: no connection is called '%s'", c.args[0])
	}
	return c.done(ctx)
}

func closeAllBanner(c *ctl) string {
	switch {
	case c.own.global:
		return fmt.Sprintf("Closing all connections (across all vhosts), reason: %s...", c.args[0])
	case c.own.limit > 0:
		return fmt.Sprintf("Closing %d connections in vhost %s, reason: %s...", c.own.limit, c.vhost, c.args[0])
	}
	return fmt.Sprintf("Closing all connections in vhost %s, reason: %s...", c.vhost, c.args[0])
}

func closeAllConnections(ctx context.Context, c *ctl) error {
	n, err := c.closeThose(ctx, c.args[0], func(doc ctlDoc) bool {
		return c.own.global || doc["vhost"] == c.vhost
	})
	if err != nil {
		return err
	}
	return c.tell("Closed %d connections", n)
}

// closeThose closes connections with a reason, and returns how many.
func (c *ctl) closeThose(ctx context.Context, reason string, which func(ctlDoc) bool) (n int, err error) {
	var docs []ctlDoc
	if err := c.api.get(ctx, &docs, "connections"); err != nil {
		return 0, failedWith(err)
	}
	for _, doc := range docs {
		name, _ := doc["name"].(string)
		if !which(doc) || c.own.limit > 0 && n == c.own.limit {
			continue
		}
		err := c.api.call(ctx, manageCall{method: http.MethodDelete, path: []string{"connections", name},
			reason: reason})
		switch {
		case isMissing(err): // it has ended by itself
			continue
		case err != nil:
			return n, failedWith(err)
		}
		n++
		if err := c.pause(ctx, time.Duration(c.own.delay)*time.Millisecond); err != nil {
			return n, err
		}
	}
	return n, nil
}

// pause waits, unless the command's time ends first.
func (c *ctl) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
