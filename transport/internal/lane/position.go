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
//	from the one before it, the first left out; all of them unsigned varints
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
	for i, h := range p.Held[1:] {
		with := binary.AppendUvarint(deltas, uint64(h-p.Held[i]))
		if len(with) > room {
			return deltas, h
		}
		deltas = with
	}
	return deltas, p.Until
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
	for raw = raw[n:]; len(raw) > 0; raw = raw[n:] {
		var delta uint64
		if delta, n = binary.Uvarint(raw); n <= 0 || delta == 0 || delta > until {
			return plain
		}
		p.Held = append(p.Held, p.Held[len(p.Held)-1]+int64(delta))
	}
	if last := p.Held[len(p.Held)-1]; last >= p.Until {
		return plain
	}
	return p
}
