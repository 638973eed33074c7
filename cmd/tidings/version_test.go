package main

import (
	"runtime"
	"testing"
)

func TestVersionIsToldInEveryForm(t *testing.T) {
	line := "tidings devel  " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"version"}, line},
		{[]string{"--version"}, line},
		{[]string{"version", "-q"}, "devel\n"},
		{[]string{"version", "-o", "tsv"},
			"devel\t" + runtime.Version() + "\t" + runtime.GOOS + "\t" + runtime.GOARCH + "\n"},
	} {
		cmd := start(t, nil, c.args...)
		if code := cmd.wait(t); code != exitOK || cmd.out.String() != c.want {
			t.Errorf("%v: got %d, %q, want %q", c.args, code, cmd.out, c.want)
		}
	}
}
