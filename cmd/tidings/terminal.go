package main

import (
	"strings"
)

// terminal is what is known about where output goes.
type terminal struct {
	in, out, err stream
	ascii        bool // no glyphs beyond ASCII
	dumb         bool // no cursor movement
}

// stream is one of stdin, stdout and stderr.
type stream struct {
	tty    bool
	colour bool
}

// terminalOf decides about colour and glyphs: NO_COLOR forbids colour,
// CLICOLOR_FORCE demands it, TERM=dumb does without anything, and a locale that
// is plainly not UTF-8 gets ASCII.
func terminalOf(env func(string) string, in, out, err bool) terminal {
	t := terminal{dumb: env("TERM") == "dumb"}
	t.ascii = t.dumb || !utf8Locale(env)
	t.in = stream{tty: in}
	t.out = stream{tty: out, colour: wantsColour(env, out)}
	t.err = stream{tty: err, colour: wantsColour(env, err)}
	return t
}

func wantsColour(env func(string) string, tty bool) bool {
	if env("NO_COLOR") != "" {
		return false
	}
	if force := env("CLICOLOR_FORCE"); force != "" && force != "0" {
		return true
	}
	return tty && env("TERM") != "dumb" && env("CLICOLOR") != "0"
}

// utf8Locale is false only where a locale is set and names another encoding:
// containers often set none and yet show UTF-8.
func utf8Locale(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(env(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true
}

// style is an ANSI attribute. Nothing is said by colour alone.
type style string

const (
	red    style = "31;1"
	yellow style = "33"
	bold   style = "1"
	dim    style = "2"
)

func (s stream) paint(st style, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + string(st) + "m" + text + "\x1b[0m"
}

// glyph picks the plain form where glyphs may not show.
func (t terminal) glyph(glyph, plain string) string {
	if t.ascii {
		return plain
	}
	return glyph
}
