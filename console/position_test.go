package console

import (
	"testing"
	"time"
)

func TestPositionsAreReadInEveryForm(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]Position{
		"start":    {Kind: FromStart},
		"earliest": {Kind: FromStart},
		"end":      {Kind: FromEnd},
		"17":       {Kind: FromOffset, Offset: 17},
		"0":        {Kind: FromOffset},
		"-10":      {Kind: BeforeEnd, Offset: 10},
		"-5m":      {Kind: FromTime, Time: now.Add(-5 * time.Minute)},
		"-1h30m":   {Kind: FromTime, Time: now.Add(-90 * time.Minute)},
		"-2d":      {Kind: FromTime, Time: now.Add(-48 * time.Hour)},
		"2026-01-31T09:00:00Z": {Kind: FromTime, Time: time.Date(2026, 1, 31, 9, 0, 0, 0,
			time.UTC)},
		"2026-01-31 09:00": {Kind: FromTime,
			Time: time.Date(2026, 1, 31, 9, 0, 0, 0, time.Local)},
	} {
		got, err := ParsePosition(text, now)
		if err != nil || got.Kind != want.Kind || got.Offset != want.Offset ||
			!got.Time.Equal(want.Time) {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestWhatIsNoPositionIsRefused(t *testing.T) {
	for _, text := range []string{"", "now", "5m", "--5m", "-m", "-9999999d", "1.5", "2026-13-01"} {
		if got, err := ParsePosition(text, time.Now()); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}
