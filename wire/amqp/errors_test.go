package amqp

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSoftErrorsCloseTheChannelAndHardOnesTheConnection(t *testing.T) {
	soft := []uint16{311, 312, 313, 403, 404, 405, 406}
	for code := range replyNames {
		if got := (&Error{Code: code}).Hard(); got == slices.Contains(soft, code) {
			t.Errorf("%d: hard %v", code, got)
		}
	}
}

func TestAnErrorSaysItsNameAndText(t *testing.T) {
	for _, test := range []struct {
		err  Error
		want string
	}{
		{Error{Code: 404, Text: "no queue 'q'"}, "NOT_FOUND - no queue 'q'"},
		{Error{Code: 320}, "CONNECTION_FORCED"},
		{Error{Code: 999, Text: "who knows"}, "who knows"},
	} {
		if got := test.err.replyText(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	e := &Error{Code: 404, Text: "no queue"}
	if got, want := e.Error(), "amqp 404 NOT_FOUND - no queue"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReplyTextIsCutBetweenRunes(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 256), strings.Repeat("é", 128),
		"x" + strings.Repeat("é", 128), strings.Repeat("€", 86), strings.Repeat("\x80", 300)} {
		m := &channelClose{replyCode: 404, replyText: text}
		got := roundTrip(t, m).(*channelClose).replyText
		kept, cut := strings.CutSuffix(got, "...")
		if !cut || len(got) > 255 || !strings.HasPrefix(text, kept) {
			t.Errorf("%d bytes became %q", len(text), got)
		}
		if utf8.ValidString(text) && (len(got) < 253 || !utf8.ValidString(got)) {
			t.Errorf("%d bytes became %q", len(text), got)
		}
	}
	if fits := strings.Repeat("é", 127); cutShort(fits) != fits {
		t.Error("what fits was cut")
	}
}
