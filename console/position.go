package console

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Position says where in a topic to start, or where to put a cursor. The zero
// value is the start.
type Position struct {
	Kind   PositionKind
	Offset int64     // FromOffset, BeforeEnd
	Time   time.Time // FromTime
}

// PositionKind says what a Position counts from.
type PositionKind uint8

// Kinds of Position.
const (
	FromStart  PositionKind = iota // the first record there is
	FromEnd                        // the next record to come
	FromOffset                     // that offset, in every partition
	BeforeEnd                      // that many records before the end, in every partition
	FromTime                       // the first record at that time or later
)

// ParsePosition reads start, end, an offset (17), records before the end (-10),
// an age (-5m, -1h30m, -2d) or a time (RFC 3339, or a local 2006-01-02 [15:04[:05]]).
func ParsePosition(text string, now time.Time) (Position, error) {
	switch text {
	case "start", "earliest", "beginning":
		return Position{Kind: FromStart}, nil
	case "end", "latest":
		return Position{Kind: FromEnd}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 0 {
			return Position{Kind: BeforeEnd, Offset: -n}, nil
		}
		return Position{Kind: FromOffset, Offset: n}, nil
	}
	if age, ok := strings.CutPrefix(text, "-"); ok {
		if d, err := ParseAge(age); err == nil {
			return Position{Kind: FromTime, Time: now.Add(-d)}, nil
		}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02 15:04", time.DateTime,
		"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return Position{Kind: FromTime, Time: t}, nil
		}
	}
	return Position{}, fmt.Errorf("%q is no position: start, end, an offset (17), "+
		"-10 (records before the end), -5m (an age), or a time (2006-01-02T15:04:05Z)", text)
}

// ParseAge reads a duration as time.ParseDuration does, and whole days: 7d.
func ParseAge(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = fmt.Errorf("%q is negative", text)
	}
	return d, err
}

// resolve finds the position's offset in one partition. An offset outside the
// bounds is an error (OutOfRange).
func (p Position) resolve(ctx context.Context, part *broker.Partition) (broker.Offset, error) {
	start, end := part.Bounds()
	switch p.Kind {
	case FromEnd:
		return end, nil
	case BeforeEnd:
		return max(start, end-broker.Offset(p.Offset)), nil
	case FromTime:
		off, _, ok, err := part.OffsetAt(ctx, p.Time)
		if err != nil || !ok {
			return end, err
		}
		return off, nil
	case FromOffset:
		off := broker.Offset(p.Offset)
		if off < start || off > end {
			return 0, outOfRange(part, off)
		}
		return off, nil
	}
	return start, nil
}

func outOfRange(part *broker.Partition, off broker.Offset) error {
	start, end := part.Bounds()
	return &problem{status: kinds[broker.OutOfRange].status, Problem: Problem{
		Code: kinds[broker.OutOfRange].code,
		Message: fmt.Sprintf("%s/%d has no offset %d: it holds %d up to %d",
			part.Topic().Name().Name, part.Index(), off, start, end),
		Hint: "use start, end or a time",
	}}
}
