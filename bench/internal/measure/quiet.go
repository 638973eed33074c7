package measure

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"
)

// quietPressure is the share of time, in percent, in which some task waited for a processor
// over the last ten seconds, below which a machine counts as idle.
const quietPressure = 12

// AwaitQuiet waits until others leave the processors alone, for at most so long. Where the
// system does not tell (/proc/pressure of Linux does) it returns at once.
func AwaitQuiet(ctx context.Context, most time.Duration) error {
	end := time.Now().Add(most)
	for time.Now().Before(end) && pressure() >= quietPressure {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// pressure is the first figure of a line like "some avg10=3.51 avg60=2.40 ...", 0 without.
func pressure() float64 {
	text, _ := os.ReadFile("/proc/pressure/cpu")
	_, rest, _ := strings.Cut(string(text), "avg10=")
	figure, _, _ := strings.Cut(rest, " ")
	share, _ := strconv.ParseFloat(figure, 64)
	return share
}
