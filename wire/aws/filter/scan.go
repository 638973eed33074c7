package filter

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// token is a kind of JSON token, by its first character where there is one.
type token byte

const (
	tokenNone   token = 0 // the end of the text, or an error
	tokenName   token = 'k'
	tokenString token = '"'
	tokenNumber token = '0'
	tokenTrue   token = 't'
	tokenFalse  token = 'f'
	tokenNull   token = 'n'
)

// scanner reads JSON token by token, as the parser behind SNS does: errors in a policy tell how far that one
// had read. It reads the start of a value with its name, and a string only to its opening quote until its
// text is asked for.
type scanner struct {
	src   string
	pos   int
	depth int     // how deep values may be nested
	open  []token // '{' and '[' that are not closed
	fresh bool    // nothing was read in the innermost of them
	done  bool    // the outermost value has begun

	name     string // of the last tokenName
	ahead    token  // the value of a name, begun
	start    int    // of a string behind its quote, or of a number
	unread   bool   // a string is read to its quote only
	problem  string
	problemN int // position of the problem
}

func newScanner(src string, depth int) *scanner { return &scanner{src: src, depth: depth} }

// next reads the next token; tokenNone at the end and where the text is not JSON.
func (s *scanner) next() token {
	if s.problem != "" {
		return tokenNone
	}
	if t := s.ahead; t != tokenNone {
		s.ahead = tokenNone
		return t
	}
	if s.unread {
		s.text(tokenString)
	}
	if s.problem != "" {
		return tokenNone
	}
	if len(s.open) == 0 {
		return s.outermost()
	}
	in := s.open[len(s.open)-1]
	c := s.skipSpace()
	if c == byte(in)+2 { // '}' and ']' are two after '{' and '['
		s.pos++
		s.open, s.fresh = s.open[:len(s.open)-1], false
		return token(c)
	}
	if !s.fresh {
		if c != ',' {
			return s.unexpected("was expecting comma to separate " + kindOf(in) + " entries")
		}
		s.pos++
		c = s.skipSpace()
	}
	s.fresh = false
	if in == '[' {
		return s.begin(c)
	}
	return s.member(c)
}

func (s *scanner) outermost() token {
	c := s.skipSpace()
	switch {
	case !s.done && s.problem == "":
		s.done = true
		return s.begin(c)
	case s.pos < len(s.src):
		return s.unexpected("was expecting the end")
	}
	s.problem = "" // there is no more, as there should not be
	return tokenNone
}

func kindOf(in token) string {
	if in == '{' {
		return "Object"
	}
	return "Array"
}

// member reads a name, its colon and the start of its value.
func (s *scanner) member(c byte) token {
	if c != '"' {
		return s.unexpected("was expecting double-quote to start field name")
	}
	s.pos++
	s.start, s.unread = s.pos, true
	s.name = s.text(tokenString)
	if c = s.skipSpace(); s.problem == "" && c != ':' {
		return s.unexpected("was expecting a colon to separate field name and value")
	}
	s.pos++
	if s.ahead = s.begin(s.skipSpace()); s.ahead == tokenNone {
		return tokenNone
	}
	return tokenName
}

// begin reads a value that begins with c: all of it, but for strings, objects and arrays.
func (s *scanner) begin(c byte) token {
	switch {
	case s.problem != "":
		return tokenNone
	case c == '{' || c == '[':
		if len(s.open) >= s.depth {
			return s.fail(s.pos, fmt.Sprintf("Document nesting depth exceeds the maximum allowed (%d)", s.depth))
		}
		s.pos++
		s.open, s.fresh = append(s.open, token(c)), true
		return token(c)
	case c == '"':
		s.pos++
		s.start, s.unread = s.pos, true
		return tokenString
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	return s.word()
}

func (s *scanner) word() token {
	for _, w := range []string{"true", "false", "null"} {
		if strings.HasPrefix(s.src[s.pos:], w) && !identifier(s.src[s.pos+len(w):]) {
			s.pos += len(w)
			return token(w[0])
		}
	}
	const values = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	if !identifier(s.src[s.pos:]) {
		return s.unexpected("expected a valid value " + values)
	}
	begin := s.pos
	for identifier(s.src[s.pos:]) {
		_, n := utf8.DecodeRuneInString(s.src[s.pos:])
		s.pos += n
	}
	const most = 256 // of a token in an error
	return s.fail(s.pos, fmt.Sprintf("Unrecognized token '%.*s': was expecting %s",
		most, s.src[begin:s.pos], values))
}

// identifier tells whether a text begins with what may be part of a word.
func identifier(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '$')
}

// number reads -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
func (s *scanner) number() token {
	s.start = s.pos
	if s.at() == '-' {
		s.pos++
	}
	if zero := s.at() == '0'; s.digits() && zero && s.pos > s.intStart()+1 {
		return s.fail(s.pos-1, "Invalid numeric value: Leading zeroes not allowed")
	}
	if s.problem == "" && s.at() == '.' {
		s.pos++
		s.digits()
	}
	if c := s.at(); s.problem == "" && (c == 'e' || c == 'E') {
		s.pos++
		if c = s.at(); c == '+' || c == '-' {
			s.pos++
		}
		s.digits()
	}
	if s.problem == "" && identifier(s.src[s.pos:]) {
		return s.unexpected("Expected space separating values")
	}
	if s.problem != "" {
		return tokenNone
	}
	return tokenNumber
}

// intStart is where the digits of the number at start begin.
func (s *scanner) intStart() int {
	if s.src[s.start] == '-' {
		return s.start + 1
	}
	return s.start
}

// digits reads at least one.
func (s *scanner) digits() bool {
	begin := s.pos
	for c := s.at(); c >= '0' && c <= '9'; c = s.at() {
		s.pos++
	}
	if s.pos == begin {
		s.unexpected("expected digit (0-9) in a number")
	}
	return s.pos > begin
}

// text is what the token t says: the last one, read to its end.
func (s *scanner) text(t token) string {
	switch t {
	case tokenName:
		return s.name
	case tokenNumber:
		return s.src[s.start:s.pos]
	case tokenString:
		s.unread = false
		return s.string()
	case tokenTrue:
		return "true"
	case tokenFalse:
		return "false"
	case tokenNull:
		return "null"
	}
	return string(rune(t))
}

// string reads a string from behind its opening quote to behind its closing one.
func (s *scanner) string() string {
	for {
		if s.pos >= len(s.src) {
			s.fail(s.pos, "Unexpected end-of-input in VALUE_STRING")
			return ""
		}
		switch c := s.src[s.pos]; {
		case c == '"':
			s.pos++
			return s.src[s.start : s.pos-1]
		case c == '\\':
			return s.escaped()
		case c < ' ':
			s.control(c)
			return ""
		}
		s.pos++
	}
}

// escaped reads the rest of a string, from its first backslash on.
func (s *scanner) escaped() string {
	out := append(make([]byte, 0, 2*(s.pos-s.start)), s.src[s.start:s.pos]...)
	for s.problem == "" {
		if s.pos >= len(s.src) {
			s.fail(s.pos, "Unexpected end-of-input in VALUE_STRING")
			break
		}
		c := s.src[s.pos]
		switch {
		case c == '"':
			s.pos++
			return string(out)
		case c == '\\':
			out = s.escape(out)
			continue
		case c < ' ':
			s.control(c)
		}
		out = append(out, c)
		s.pos++
	}
	return ""
}

func (s *scanner) control(c byte) {
	s.fail(s.pos, fmt.Sprintf("Illegal unquoted character ((CTRL-CHAR, code %d)): has to be escaped using "+
		"backslash to be included in string value", c))
}

const escapes = `"\/bfnrt`
const escapeMeans = "\"\\/\b\f\n\r\t"

func (s *scanner) escape(out []byte) []byte {
	s.pos++
	if s.at() == 'u' {
		return utf8.AppendRune(out, s.unicodeEscape())
	}
	i := strings.IndexByte(escapes, s.at())
	if i < 0 || s.pos >= len(s.src) {
		s.unexpected("Unrecognized character escape")
		return out
	}
	s.pos++
	return append(out, escapeMeans[i])
}

// unicodeEscape reads uXXXX, and with it the second one of a pair. Half a pair is U+FFFD.
func (s *scanner) unicodeEscape() rune {
	r, ok := hex4(s.src[s.pos+1:])
	if !ok {
		s.unexpected("expected a hex-digit for character escape sequence")
		return 0
	}
	s.pos += 5
	if utf16.IsSurrogate(r) {
		if rest, pair := strings.CutPrefix(s.src[s.pos:], `\u`); pair {
			low, _ := hex4(rest)
			if both := utf16.DecodeRune(r, low); both != unicode.ReplacementChar {
				s.pos += 6
				return both
			}
		}
		return unicode.ReplacementChar
	}
	return r
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	return rune(n), err == nil
}

// at is the character at the position, 0 at the end.
func (s *scanner) at() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

// skipSpace stops at what is no space; that there is nothing more is a problem.
func (s *scanner) skipSpace() byte {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	s.fail(s.pos, "Unexpected end-of-input")
	return 0
}

func (s *scanner) unexpected(expected string) token {
	if s.pos >= len(s.src) {
		return s.fail(s.pos, "Unexpected end-of-input: "+expected)
	}
	r, _ := utf8.DecodeRuneInString(s.src[s.pos:])
	return s.fail(s.pos, fmt.Sprintf("Unexpected character ('%c' (code %d)): %s", r, r, expected))
}

// fail notes the first problem, and what the parser behind SNS had read when it saw it.
func (s *scanner) fail(pos int, problem string) token {
	if s.problem == "" {
		s.problem, s.problemN = problem, pos
	}
	return tokenNone
}

// skip reads over the rest of a value that begins with t.
func (s *scanner) skip(t token) {
	if t != '{' && t != '[' {
		return
	}
	for outside := len(s.open) - 1; len(s.open) > outside && s.problem == ""; {
		s.next()
	}
}

// clone is a second scanner at the same place.
func (s *scanner) clone() *scanner {
	c := *s
	c.open = append([]token(nil), s.open...)
	return &c
}
