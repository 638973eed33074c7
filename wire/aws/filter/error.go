package filter

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// Error is what SNS has to say against a policy or a scope, in its words. Before it, SNS says "Invalid
// parameter: ", and when it answers Subscribe "Invalid parameter: Attributes Reason: ".
type Error struct{ Message string }

// Error reads "FilterPolicy: Filter policy is too complex".
func (e *Error) Error() string { return e.Message }

const about = "FilterPolicy: "

func refuse(format string, args ...any) *Error { return &Error{about + fmt.Sprintf(format, args...)} }

var (
	errComplex = refuse("Filter policy is too complex")
	errKeys    = refuse("Filter policy can not have more than %d keys", maxKeys)
	errNested  = &Error{"Filter policy scope MessageAttributes does not support nested filter policy"}
	errLarge   = refuse("Filter policy is larger than %d bytes", maxPolicy)
	errUTF8    = refuse("failed to parse JSON. Invalid UTF-8")
)

// syntaxError is about a text that is not JSON. SNS does not repeat it.
func syntaxError(s *scanner) *Error {
	line, column := place(s.src, s.problemN)
	return refuse("failed to parse JSON. %s\n at [Source: REDACTED "+
		"(`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]", s.problem, line, column)
}

// wrong is about JSON that is no policy, as far as it was read.
func wrong(s *scanner, format string, args ...any) *Error {
	line, column := place(s.src, s.pos)
	return refuse("%s\n at [Source: (String)\"%s; line: %d, column: %d]",
		fmt.Sprintf(format, args...), snippet(s.src), line, column)
}

// snippet is a text up to 500 characters, and how many more there are, with the quote that ends it.
func snippet(s string) string {
	const most = 500
	units := utf16.Encode([]rune(s))
	if len(units) <= most {
		return s + `"`
	}
	return fmt.Sprintf("%s\"[truncated %d chars]", string(utf16.Decode(units[:most])), len(units)-most)
}

// place is the line and the column after n bytes, as Java counts: from 1, in UTF-16.
func place(s string, n int) (line, column int) {
	before := s[:min(n, len(s))]
	line = 1 + strings.Count(before, "\n")
	before = before[strings.LastIndexByte(before, '\n')+1:]
	return line, 1 + len(utf16.Encode([]rune(before)))
}
