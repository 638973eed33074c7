package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

var ctlAccessCommands = []*ctlCommand{
	{name: "set_permissions", usage: "[--vhost <vhost>] <username> <conf> <write> <read>", min: 4, max: 4,
		about: "Say by patterns what a user may configure, write and read",
		banner: func(c *ctl) string {
			return fmt.Sprintf("Setting permissions for user \"%s\" in vhost \"%s\" ...", c.args[0], c.vhost)
		},
		run: func(ctx context.Context, c *ctl) error {
			return c.setAccess(ctx, "permissions",
				ctlDoc{"configure": c.args[1], "write": c.args[2], "read": c.args[3]})
		}},
	{name: "clear_permissions", usage: "[--vhost <vhost>] <username>", min: 1, max: 1,
		about: "Take a user's permissions in a virtual host away",
		banner: func(c *ctl) string {
			return fmt.Sprintf("Clearing permissions for user \"%s\" in vhost \"%s\" ...", c.args[0], c.vhost)
		},
		run: func(ctx context.Context, c *ctl) error { return c.clearAccess(ctx, "permissions") }},
	permissionList("list_permissions", "List permissions in a virtual host", 0,
		"user configure write read", "[--vhost <vhost>]", func(c *ctl) (string, []string) {
			return fmt.Sprintf("Listing permissions for vhost \"%s\" ...", c.vhost),
				[]string{"vhosts", c.vhost, "permissions"}
		}),
	permissionList("list_user_permissions", "List permissions of a user", 1,
		"vhost configure write read", "<username>", func(c *ctl) (string, []string) {
			return fmt.Sprintf("Listing permissions for user \"%s\" ...", c.args[0]),
				[]string{"users", c.args[0], "permissions"}
		}),
	{name: "set_topic_permissions", usage: "[--vhost <vhost>] <username> <exchange> <write> <read>",
		min: 4, max: 4, about: "Say by patterns which routing keys of a topic exchange a user may use",
		banner: func(c *ctl) string {
			return fmt.Sprintf("Setting topic permissions on \"%s\" for user \"%s\" in vhost \"%s\" ...",
				c.args[1], c.args[0], c.vhost)
		},
		run: func(ctx context.Context, c *ctl) error {
			return c.setAccess(ctx, "topic-permissions",
				ctlDoc{"exchange": c.args[1], "write": c.args[2], "read": c.args[3]})
		}},
	{name: "clear_topic_permissions", usage: "[--vhost <vhost>] <username> [<exchange>]", min: 1, max: 2,
		about: "Take a user's topic permissions away, in a virtual host or on one exchange",
		banner: func(c *ctl) string {
			on := ""
			if len(c.args) == 2 {
				on = fmt.Sprintf(" on \"%s\"", c.args[1])
			}
			return fmt.Sprintf("Clearing topic permissions%s for user \"%s\" in vhost \"%s\" ...", on,
				c.args[0], c.vhost)
		},
		run: clearTopicPermissions},
	permissionList("list_topic_permissions", "List topic permissions in a virtual host", 0,
		"user exchange write read", "[--vhost <vhost>]", func(c *ctl) (string, []string) {
			return fmt.Sprintf("Listing topic permissions for vhost \"%s\" ...", c.vhost),
				[]string{"vhosts", c.vhost, "topic-permissions"}
		}),
	permissionList("list_user_topic_permissions", "List topic permissions of a user", 1,
		"vhost exchange write read", "<username>", func(c *ctl) (string, []string) {
			return fmt.Sprintf("Listing topic permissions for user \"%s\" ...", c.args[0]),
				[]string{"users", c.args[0], "topic-permissions"}
		}),
}

// permissionList lists documents at a path; where says what is listed, and where it is.
func permissionList(name, about string, args int, columns, usage string,
	where func(*ctl) (banner string, path []string)) *ctlCommand {
	return &ctlCommand{name: name, usage: usage, about: about, min: args, max: args,
		banner: func(c *ctl) string {
			banner, _ := where(c)
			return banner
		},
		run: func(ctx context.Context, c *ctl) error {
			var docs []ctlDoc
			_, path := where(c)
			err := c.api.get(ctx, &docs, path...)
			switch {
			case isMissing(err) && args == 0:
				return noVhost(c.vhost)
			case isMissing(err):
				return ctlFailed(ctlUnavailable, "{:no_such_user, \"%s\"}", c.args[0])
			case err != nil:
				return failedWith(err)
			}
			l := ctlList{}
			names := strings.Fields(columns)
			c.noHeaders = c.noHeaders || name == "list_user_topic_permissions" // rabbitmqctl's has none
			return c.write(ctlTable{columns: names, rows: l.rows(names, docs)})
		}}
}

// noVhost is the error of most commands for a virtual host that is not there.
func noVhost(name string) error {
	return &ctlFailure{ctlDataErr, fmt.Sprintf("Virtual host '%s' does not exist", name)}
}

// setAccess puts a document of the user that the first argument names.
func (c *ctl) setAccess(ctx context.Context, kind string, doc ctlDoc) error {
	if err := c.ends(ctx); err != nil {
		return err
	}
	if err := c.api.put(ctx, doc, kind, c.vhost, c.args[0]); err != nil {
		return failedWith(err)
	}
	return c.done(ctx)
}

func (c *ctl) clearAccess(ctx context.Context, kind string) error {
	if err := c.ends(ctx); err != nil {
		return err
	}
	if err := c.api.delete(ctx, kind, c.vhost, c.args[0]); err != nil && !isMissing(err) {
		return failedWith(err)
	}
	return c.done(ctx)
}

// ends wants the user and the virtual host that permissions are between.
func (c *ctl) ends(ctx context.Context) error {
	switch err := c.api.get(ctx, nil, "users", c.args[0]); {
	case isMissing(err):
		return ctlFailed(ctlNoUser, "User %s does not exist", c.args[0])
	case err != nil:
		return failedWith(err)
	}
	switch err := c.api.get(ctx, nil, "vhosts", c.vhost); {
	case isMissing(err):
		return ctlFailed(ctlUnavailable, "Virtual host %s does not exist", c.vhost)
	case err != nil:
		return failedWith(err)
	}
	return nil
}

// clearTopicPermissions takes away all of the user, or those on one exchange. RabbitMQ's API has no
// path for that: there all are deleted, and the others put back.
func clearTopicPermissions(ctx context.Context, c *ctl) error {
	if len(c.args) == 1 {
		return c.clearAccess(ctx, "topic-permissions")
	}
	if err := c.ends(ctx); err != nil {
		return err
	}
	user, exchange := c.args[0], c.args[1]
	var all []ctlDoc
	err := c.api.get(ctx, &all, "topic-permissions", c.vhost, user)
	if err != nil && !isMissing(err) {
		return failedWith(err)
	}
	others := slices.DeleteFunc(slices.Clone(all), func(doc ctlDoc) bool { return doc["exchange"] == exchange })
	if len(others) == len(all) {
		return c.done(ctx)
	}
	err = c.api.delete(ctx, "topic-permissions", c.vhost, user, exchange)
	if isMissing(err) {
		err = c.replaceTopicPermissions(ctx, user, others)
	}
	if err != nil {
		return failedWith(err)
	}
	return c.done(ctx)
}

func (c *ctl) replaceTopicPermissions(ctx context.Context, user string, all []ctlDoc) error {
	err := c.api.delete(ctx, "topic-permissions", c.vhost, user)
	for _, doc := range all {
		if err == nil {
			err = c.api.put(ctx, doc, "topic-permissions", c.vhost, user)
		}
	}
	return err
}

var ctlVhostCommands = []*ctlCommand{
	{name: "add_vhost", usage: "<vhost> [--description <text>] [--tags <tag,tag>] " +
		"[--default-queue-type <type>]", min: 1, max: 1, about: "Make a virtual host",
		flags: func(c *ctl, f *pflag.FlagSet) {
			f.StringVarP(&c.own.description, "description", "d", "", "what it is for")
			f.StringVar(&c.own.tags, "tags", "", "words, with commas between them")
			f.StringVar(&c.own.queueType, "default-queue-type", "", "classic or quorum")
		},
		banner: func(c *ctl) string { return fmt.Sprintf("Adding vhost \"%s\" ...", c.args[0]) },
		run:    addVhost},
	{name: "delete_vhost", usage: "<vhost>", min: 1, max: 1, about: "Delete a virtual host with all in it",
		banner: func(c *ctl) string { return fmt.Sprintf("Deleting vhost \"%s\" ...", c.args[0]) },
		run: func(ctx context.Context, c *ctl) error {
			switch err := c.api.delete(ctx, "vhosts", c.args[0]); {
			case isMissing(err):
				return noVhost(c.args[0])
			case err != nil:
				return failedWith(err)
			}
			return c.done(ctx)
		}},
	(&ctlList{name: "list_vhosts", about: "List virtual hosts", whole: true,
		banner:  func(*ctl) string { return "Listing vhosts ..." },
		path:    func(*ctl) []string { return []string{"vhosts"} },
		columns: "name description tags default_queue_type protected_from_deletion tracing cluster_state metadata",
		shown:   "name",
		values: map[string]func(ctlDoc) any{
			"default_queue_type": func(doc ctlDoc) any {
				if doc["default_queue_type"] == nil {
					return "undefined"
				}
				return doc["default_queue_type"]
			},
		}}).command(),
}

func addVhost(ctx context.Context, c *ctl) error {
	doc := ctlDoc{}
	for name, value := range map[string]string{"description": c.own.description, "tags": c.own.tags,
		"default_queue_type": c.own.queueType} {
		if value != "" {
			doc[name] = value
		}
	}
	if err := c.api.put(ctx, doc, "vhosts", c.args[0]); err != nil {
		return failedWith(err)
	}
	return c.done(ctx)
}
