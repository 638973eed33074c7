package lane

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
)

// Position is how far a group has come in a lane: everything before Low is settled, and everything
// before Until but Held, ascending offsets of which Low is the first. Without Held both are equal.
type Position struct {
	Low, Until int64
	Held       []int64
}

// Without is the position once more is settled.
func (p Position) Without(settled []int64) Position {
	if len(settled) == 0 {
		return p
	}
	p.Held = slices.DeleteFunc(slices.Clone(p.Held), func(off int64) bool {
		return slices.Contains(settled, off)
	})
	if p.Low = p.Until; len(p.Held) > 0 {
		p.Low = p.Held[0]
	}
	return p
}

// prefix tells the text of a position from what other consumers write beside an offset.
const prefix = "settled:"

// Text is the position beside its Low, in at most so many bytes; "" where Low says it all. Where
// there is no room for all of Held, it says less of what is settled, and nothing that is not:
//
//	"settled:" and, in base64 (RFC 4648, section 5): Until - Low, and the distance of each of Held
//	from the one before it, the first left out; for several with a distance of 1 also a 0 and how
//	many these are; all of them unsigned varints
func (p *Position) Text(limit int) string {
	if len(p.Held) == 0 {
		return ""
	}
	room := base64.RawURLEncoding.DecodedLen(limit-len(prefix)) - binary.MaxVarintLen64
	if room < 0 {
		return ""
	}
	deltas, until := p.distances(room)
	raw := append(binary.AppendUvarint(nil, uint64(until-p.Low)), deltas...)
	return prefix + base64.RawURLEncoding.EncodeToString(raw)
}

// distances is those of as many of Held as have room, and where the first is that has none.
func (p *Position) distances(room int) (deltas []byte, until int64) {
	for i := 1; i < len(p.Held); {
		with, n := deltas, p.sideBySide(i)
		if n < fewest {
			with, n = binary.AppendUvarint(with, uint64(p.Held[i]-p.Held[i-1])), 1
		} else {
			with = binary.AppendUvarint(append(with, 0), uint64(n))
		}
		if len(with) > room {
			return deltas, p.Held[i]
		}
		deltas, i = with, i+n
	}
	return deltas, p.Until
}

// fewest are written together: fewer take no more by themselves.
const fewest = 3

// sideBySide is how many of Held, from one on, have a distance of 1 to that before.
func (p *Position) sideBySide(from int) (n int) {
	for from+n < len(p.Held) && p.Held[from+n] == p.Held[from+n-1]+1 {
		n++
	}
	return n
}

// Parse is the position that an offset is with the text beside it. A text that Text did not write
// says nothing.
func Parse(low int64, text string) Position {
	plain := Position{Low: low, Until: low}
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return plain
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	until, n := binary.Uvarint(raw)
	if err != nil || n <= 0 || until > 1<<62 {
		return plain
	}
	p := Position{Low: low, Until: low + int64(until), Held: []int64{low}}
	for raw = raw[n:]; len(raw) > 0; {
		if raw = p.hold(raw); raw == nil || len(p.Held) > mostHeld {
			return plain
		}
	}
	if last := p.Held[len(p.Held)-1]; last >= p.Until {
		return plain
	}
	return p
}

// mostHeld is more than any reader holds: what says more was not written by Text.
const mostHeld = 1 << 20

// hold reads a distance, or that there are several of 1, and returns what follows; nil: it is neither.
func (p *Position) hold(raw []byte) (rest []byte) {
	delta, n := binary.Uvarint(raw)
	if n <= 0 {
		return nil
	}
	times, raw := uint64(1), raw[n:]
	if delta == 0 {
		if times, n = binary.Uvarint(raw); n <= 0 || times == 0 || times > mostHeld {
			return nil
		}
		delta, raw = 1, raw[n:]
	}
	last := p.Held[len(p.Held)-1]
	if room := p.Until - last; room <= 0 || delta > uint64(room) || times > uint64(room) {
		return nil
	}
	for i := range times {
		p.Held = append(p.Held, last+int64(delta*(i+1)))
	}
	return raw
}
