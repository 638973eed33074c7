package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/pflag"
)

var ctlUserCommands = []*ctlCommand{
	{name: "add_user", usage: "<username> [<password>]", min: 1, max: 2,
		about: "Make a user; without a password it is a line of standard input",
		flags: func(c *ctl, f *pflag.FlagSet) {
			f.BoolVar(&c.own.hashed, "pre-hashed-password", false, "the password is RabbitMQ's hash of it")
		},
		check:  checkNewUser,
		banner: func(c *ctl) string { return fmt.Sprintf("Adding user \"%s\" ...", c.args[0]) },
		run:    addUser},
	{name: "delete_user", usage: "<username>", min: 1, max: 1, about: "Delete a user",
		banner: func(c *ctl) string { return fmt.Sprintf("Deleting user \"%s\" ...", c.args[0]) },
		run: func(ctx context.Context, c *ctl) error {
			if err := c.api.delete(ctx, "users", c.args[0]); err != nil {
				return c.userError(err)
			}
			return c.done(ctx)
		}},
	{name: "change_password", usage: "<username> [<password>]", min: 1, max: 2,
		about:  "Give a user another password",
		banner: func(c *ctl) string { return fmt.Sprintf("Changing password for user \"%s\" ...", c.args[0]) },
		run:    changePassword},
	{name: "authenticate_user", usage: "<username> [<password>]", min: 1, max: 2,
		about:  "Say whether a password is right",
		banner: func(c *ctl) string { return fmt.Sprintf("Authenticating user \"%s\" ...", c.args[0]) },
		run:    authenticateUser},
	{name: "set_user_tags", usage: "<username> <tag> [...]", min: 1, max: -1,
		about: "Give a user tags: administrator, monitoring, management, policymaker",
		banner: func(c *ctl) string {
			return fmt.Sprintf("Setting tags for user \"%s\" to [%s] ...", c.args[0],
				strings.Join(c.args[1:], ", "))
		},
		run: setUserTags},
	{name: "list_users", usage: "[--no-table-headers]", about: "List users and their tags",
		banner: func(*ctl) string { return "Listing users ..." },
		run:    listUsers},
}

func checkNewUser(c *ctl) error {
	if c.args[0] == "" {
		return c.wrong(ctlDataErr, "Bad argument: user cannot be an empty string")
	}
	if c.own.hashed && len(c.args) == 2 {
		if _, err := base64.StdEncoding.DecodeString(c.args[1]); err != nil {
			return c.wrong(ctlDataErr, "Bad argument: Could not Base64 decode provided password hash value")
		}
	}
	return nil
}

func addUser(ctx context.Context, c *ctl) error {
	name := c.args[0]
	password, err := c.password(ctlDataErr)
	if err != nil {
		return err
	}
	switch err := c.api.get(ctx, nil, "users", name); {
	case err == nil:
		return ctlFailed(ctlSoftware, "User \"%s\" already exists", name)
	case !isMissing(err):
		return failedWith(err)
	}
	doc := ctlDoc{"password": password, "tags": ""}
	if c.own.hashed {
		doc = ctlDoc{"password_hash": password, "tags": ""}
	}
	if err := c.api.put(ctx, doc, "users", name); err != nil {
		return failedWith(err)
	}
	if c.outputLess() {
		return c.done(ctx)
	}
	return c.tell("Done. Don't forget to grant the user permissions to some virtual hosts! " +
		"See 'rabbitmqctl help set_permissions' to learn more.")
}

// password is the second argument, or a line of standard input.
func (c *ctl) password(exit int) (string, error) {
	if len(c.args) > 1 {
		return c.args[1], nil
	}
	if !c.outputLess() {
		fmt.Fprintln(c.a.out, "Password: ")
	}
	line, _ := bufio.NewReader(c.a.in).ReadString('\n')
	if line == "" {
		return "", ctlFailed(exit, "Password is not provided via argument or stdin")
	}
	return strings.TrimSpace(line), nil
}

// userError tells that a user is not there, or what else went wrong.
func (c *ctl) userError(err error) error {
	if isMissing(err) {
		return ctlFailed(ctlNoUser, "User \"%s\" does not exist", c.args[0])
	}
	return failedWith(err)
}

// ctlUser is a user of the API.
type ctlUser struct {
	Name      string `json:"name"`
	Tags      any    `json:"tags"` // a list, or a text with commas before RabbitMQ 3.9
	Hash      string `json:"password_hash"`
	Algorithm string `json:"hashing_algorithm"`
}

// tagList are the tags as they are sent.
func (u *ctlUser) tagList() string {
	list, ok := u.Tags.([]any)
	if !ok {
		text, _ := u.Tags.(string)
		return text
	}
	words := make([]string, len(list))
	for i := range list {
		words[i] = fmt.Sprint(list[i])
	}
	return strings.Join(words, ",")
}

func changePassword(ctx context.Context, c *ctl) error {
	password, err := c.password(ctlSoftware)
	if err != nil {
		return err
	}
	var user ctlUser
	if err := c.api.get(ctx, &user, "users", c.args[0]); err != nil {
		return c.userError(err)
	}
	err = c.api.put(ctx, ctlDoc{"password": password, "tags": user.tagList()}, "users", c.args[0])
	if err != nil {
		return c.userError(err)
	}
	return c.done(ctx)
}

// setUserTags sends back the hash of the password, which a PUT without would take away.
func setUserTags(ctx context.Context, c *ctl) error {
	var user ctlUser
	if err := c.api.get(ctx, &user, "users", c.args[0]); err != nil {
		return c.userError(err)
	}
	doc := ctlDoc{"password_hash": user.Hash, "tags": strings.Join(c.args[1:], ",")}
	if user.Algorithm != "" {
		doc["hashing_algorithm"] = user.Algorithm
	}
	if err := c.api.put(ctx, doc, "users", c.args[0]); err != nil {
		return c.userError(err)
	}
	return c.done(ctx)
}

// authenticateUser asks the API who it is. One who is known and may not use the API has given the
// right password.
func authenticateUser(ctx context.Context, c *ctl) error {
	name := c.args[0]
	password, err := c.password(ctlSoftware)
	if err != nil {
		return err
	}
	err = c.api.as(name, password).get(ctx, nil, "whoami")
	var refused *manageError
	switch {
	case err == nil, errors.As(err, &refused) && refused.status == http.StatusUnauthorized &&
		!refused.loginFailed():
		return c.tell("Success")
	case isStatus(err, http.StatusUnauthorized):
		return ctlFailed(ctlDataErr, "Error: failed to authenticate user \"%s\"\n"+
			"user '%s' - invalid credentials", name, name)
	}
	return failedWith(err)
}

func listUsers(ctx context.Context, c *ctl) error {
	var users []ctlUser
	if err := c.api.get(ctx, &users, "users"); err != nil {
		return failedWith(err)
	}
	t := ctlTable{columns: []string{"user", "tags"}}
	for _, u := range users {
		tags := []any{}
		for tag := range strings.SplitSeq(u.tagList(), ",") {
			if tag != "" {
				tags = append(tags, tag)
			}
		}
		t.rows = append(t.rows, ctlRow{u.Name, tags})
	}
	return c.write(t)
}
