package broker

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// pattern is a regular expression for names, and what must not be found instead. The zero
// value matches nothing.
type pattern struct {
	always  bool // it matches everything
	is, not *regexp.Regexp
}

// maxPattern bounds a pattern, in bytes: what it is compiled to is thousands of times
// as long.
const maxPattern = 1024

func (p *pattern) matches(name string) bool {
	switch {
	case p.always:
		return true
	case p.is == nil:
		return false
	}
	return p.is.MatchString(name) && (p.not == nil || !p.not.MatchString(name))
}

// newPattern compiles a pattern. RabbitMQ's patterns are Perl's; RE2 has no lookahead,
// but ^(?!amq\.).* is the one that everybody uses, to leave the built-in names alone.
// At the beginning it only says what else must not match.
func newPattern(s string) (p pattern, err error) {
	if len(s) > maxPattern {
		return p, fmt.Errorf("pattern has %d bytes, the limit is %d", len(s), maxPattern)
	}
	if !utf8.ValidString(s) {
		return p, fmt.Errorf("pattern %q is not valid UTF-8", s)
	}
	if s == ".*" {
		return pattern{always: true}, nil
	}
	rest := s
	if not, after, ok := cutLookahead(s); ok {
		if p.not, err = regexp.Compile("^(?:" + not + ")"); err != nil {
			return p, err
		}
		rest = "^(?:" + after + ")"
	}
	p.is, err = regexp.Compile(rest)
	return p, err
}

// cutLookahead takes a pattern like ^(?!not)after apart. It is not ok where an
// alternative stands outside of the parentheses: the lookahead is for one branch then.
func cutLookahead(s string) (not, after string, ok bool) {
	s, ok = strings.CutPrefix(s, "^(?!")
	if !ok {
		return "", "", false
	}
	for end := range len(s) {
		if s[end] != ')' {
			continue
		}
		// Only a whole group is an expression: a parenthesis that is escaped or inside
		// of another group leaves half of one.
		if _, err := syntax.Parse(s[:end], syntax.Perl); err == nil {
			after = s[end+1:]
			return s[:end], after, !alternates(after)
		}
	}
	return "", "", false
}

// alternates says whether a bar divides the whole expression: then neither side is
// whole alone, unless the bar stands in a group or class.
func alternates(s string) bool {
	for i := range len(s) {
		if s[i] != '|' {
			continue
		}
		_, left := syntax.Parse(s[:i], syntax.Perl)
		_, right := syntax.Parse(s[i+1:], syntax.Perl)
		if left == nil && right == nil {
			return true
		}
	}
	return false
}
