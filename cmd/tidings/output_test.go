package main

import (
	"bufio"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/console"
)

func TestControlCharactersDoNotReachTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"hello":                 "hello",
		"grüße 你好 ✓":            "grüße 你好 ✓",
		"a\x1b[2Jb":             `a\x1b[2Jb`,
		"title\x1b]0;x\x07":     `title\x1b]0;x\a`,
		"two\nlines\tand\r\n":   `two\nlines\tand\r\n`,
		"\xff\xfe":              `\xff\xfe`,
		"\u202Eevil":            `\u202eevil`,
		"replacement \uFFFD ok": "replacement \uFFFD ok",
		"\u009b31m":             `\u009b31m`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestControlCharactersOfRecordsAreEscapedInEveryForm(t *testing.T) {
	evil, c1 := "k\x1b[2J", "v\u009b31m\u202E\U000E0001"
	rec := console.Record{Topic: "orders", Key: &evil, Value: &c1, ValueBase64: nil,
		Headers: []console.Header{{Key: "h\x07", Value: &evil}}}
	for _, c := range []struct {
		a          app
		format     string
		tty, piped string
	}{
		{app{quiet: true}, "", `v\u009b31m\u202e\U000e0001` + "\n", c1 + "\n"},
		{app{}, `%k %v [%h]\n`, `k\x1b[2J v\u009b31m\u202e\U000e0001 [h\a=k\x1b[2J]` + "\n",
			evil + " " + c1 + " [h\x07=" + evil + "]\n"},
		{app{output: "tsv"}, "",
			"\torders\t0\t0\t" + `k\x1b[2J` + "\t" + `v\u009b31m\u202e\U000e0001` + "\n",
			"\torders\t0\t0\t" + evil + "\t" + c1 + "\n"},
		{app{output: "jsonl"}, "", `"value":"v\u009b31m\u202e\udb40\udc01"`,
			`"value":"` + c1 + `"`},
	} {
		for tty, want := range map[bool]string{true: c.tty, false: c.piped} {
			c.a.term.out.tty = tty
			write, err := c.a.recordWriter(c.format)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			w := bufio.NewWriter(&out)
			write(w, rec)
			w.Flush()
			if got := out.String(); got != want && !(c.a.output == "jsonl" &&
				strings.Contains(got, want)) {
				t.Errorf("%q %q, terminal %v: got %q, want %q", c.a.output, c.format, tty, got, want)
			}
		}
	}
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	got := []string{count(0), count(999), count(1000), count(1234567), count(-1),
		size(0), size(999), size(1000), size(123456), size(999_999), size(1_500_000_000_000),
		size(-1),
		seconds(0), seconds(0.04), seconds(9.96), seconds(59), seconds(600), seconds(86400),
		seconds(1e6),
		seconds(-1)}
	want := []string{"0", "999", "1,000", "1,234,567", "-",
		"0 B", "999 B", "1.0 kB", "123 kB", "1.0 MB", "1.5 TB", "-",
		"0 s", "0.0 s", "10.0 s", "59 s", "10 min", "24 h", "12 d", "-"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: got %q, want %q", i, got[i], want[i])
		}
	}
}

func TestSizesAndTimesAreReadAsWritten(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1000": 1000, "5B": 5, "500MB": 5e8,
		"1GiB":  1 << 30,
		"10 GB": 1e10} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "-1", "1.5GB", "10XB", "9999999999999TB", "MB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
	for text, want := range map[string]int64{"": 0, "36h": 36 * 3600, "7d": 7 * 86400,
		"forever": -1} {
		if got, err := parseRetention(text); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestUnknownNumbersAreADashAndTimesHaveOneWidth(t *testing.T) {
	day := time.Date(2026, 1, 31, 12, 0, 25, 0, time.UTC)
	got := []string{known(-1), known(0), known(1234), rawSeconds(-1), rawSeconds(1.5),
		rawChange(console.Change{From: -1, To: 3}), rawChange(console.Change{From: 4, To: 3}),
		rawTime(day), rawTime(day.Add(610 * time.Millisecond)),
		rawTime(day.Add(588_123_456 * time.Nanosecond))}
	want := []string{"-", "0", "1234", "-", "1.500", "-", "-1", "2026-01-31T12:00:25.000Z",
		"2026-01-31T12:00:25.610Z", "2026-01-31T12:00:25.588Z"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPipedRecordStaysOnOneLine(t *testing.T) {
	text := "a\tb\nc\\d"
	rec := console.Record{Topic: "orders", Partition: 2, Offset: 7, Key: &text, Value: &text,
		Time: time.Date(2026, 1, 31, 12, 0, 0, 5e6, time.UTC)}
	var out strings.Builder
	w := bufio.NewWriter(&out)
	(&app{}).writeRecordTSV(w, rec)
	w.Flush()
	want := "2026-01-31T12:00:00.005Z\torders\t2\t7\t" + `a\tb\nc\\d` + "\t" + `a\tb\nc\\d` + "\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestEnvironmentDecidesAboutColourAndGlyphs(t *testing.T) {
	for _, c := range []struct {
		env           string
		tty           bool
		colour, ascii bool
	}{
		{"", true, true, false},
		{"", false, false, false},
		{"NO_COLOR=1", true, false, false},
		{"CLICOLOR_FORCE=1", false, true, false},
		{"CLICOLOR_FORCE=0", false, false, false},
		{"CLICOLOR_FORCE=1 NO_COLOR=1", true, false, false},
		{"CLICOLOR=0", true, false, false},
		{"TERM=dumb", true, false, true},
		{"LANG=C", true, true, true},
		{"LANG=C LC_ALL=de_DE.UTF-8", true, true, false},
	} {
		env := map[string]string{}
		for _, pair := range strings.Fields(c.env) {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		got := terminalOf(func(name string) string { return env[name] }, c.tty, c.tty, c.tty)
		if got.out.colour != c.colour || got.ascii != c.ascii {
			t.Errorf("%q tty=%v: got colour %v, ascii %v, want %v, %v",
				c.env, c.tty, got.out.colour, got.ascii, c.colour, c.ascii)
		}
	}
}
