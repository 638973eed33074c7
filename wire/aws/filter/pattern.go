package filter

import (
	"net/netip"
	"strconv"
	"strings"
)

// pattern is what a value must be.
type pattern interface{ matches(v *value) bool }

// text is a string, or another spelling of the same address.
type text struct {
	is string
	ip netip.Addr
}

func newText(s string) text { return text{s, addressOf(s)} }

func (p text) matches(v *value) bool {
	return v.kind == tokenString && (v.text == p.is || p.ip.IsValid() && addressOf(v.text) == p.ip)
}

// keyword is true, false or null.
type keyword token

func (p keyword) matches(v *value) bool { return v.kind == token(p) }

type prefix string

func (p prefix) matches(v *value) bool {
	return v.kind == tokenString && strings.HasPrefix(v.text, string(p))
}

type suffix string

func (p suffix) matches(v *value) bool {
	return v.kind == tokenString && strings.HasSuffix(v.text, string(p))
}

type fold string

func (p fold) matches(v *value) bool {
	return v.kind == tokenString && strings.EqualFold(v.text, string(p))
}

// except matches what none of its patterns does.
type except []pattern

func (p except) matches(v *value) bool {
	for _, not := range p {
		if not.matches(v) {
			return false
		}
	}
	return true
}

// digits is a number that is too large to be compared: an account, perhaps.
type digits string

func (p digits) matches(v *value) bool { return v.kind == tokenNumber && v.text == string(p) }

func newEqual(text string) pattern {
	if n, ok := parseNumber(text); ok {
		return between{n, n}
	}
	return digits(text)
}

// between is a range of numbers, with its ends. Numbers are whole millionths, so an open end is the next
// number.
type between struct{ bottom, top number }

var everything = between{-largest, largest}

func (p between) matches(v *value) bool {
	if v.kind != tokenNumber {
		return false
	}
	n, ok := parseNumber(v.text)
	return ok && n >= p.bottom && n <= p.top
}

// limit narrows a range by an operator.
func (p *between) limit(operator string, n number) {
	switch operator {
	case "=":
		p.bottom, p.top = n, n
	case "<":
		p.top = n - 1
	case "<=":
		p.top = n
	case ">":
		p.bottom = n + 1
	case ">=":
		p.bottom = n
	}
}

// cidr is a network.
type cidr netip.Prefix

func (p cidr) matches(v *value) bool {
	if v.kind != tokenString {
		return false
	}
	ip := addressOf(v.text)
	return ip.IsValid() && netip.Prefix(p).Contains(ip)
}

// addressOf is the zero Addr if a string is no address, by digits alone.
func addressOf(s string) netip.Addr {
	if !looksLikeAddress(s) {
		return netip.Addr{}
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}

func looksLikeAddress(s string) bool {
	const digits = "0123456789"
	if strings.Count(s, ".") == 3 {
		return strings.Trim(s, digits+".") == ""
	}
	return strings.Contains(s, ":") && strings.Trim(s, digits+"abcdefABCDEF:") == ""
}

func parseCIDR(s string) (pattern, error) {
	address, mask, ok := strings.Cut(s, "/")
	if !ok || mask == "" || strings.Contains(mask, "/") {
		return nil, refuse("Malformed CIDR, one '/' required")
	}
	bits, err := strconv.Atoi(mask)
	ip := addressOf(address)
	switch {
	case err != nil:
		return nil, refuse("Malformed CIDR, mask bits must be an integer")
	case bits < 0:
		return nil, refuse("Malformed CIDR, mask bits must not be negative")
	case !looksLikeAddress(address):
		return nil, refuse("Nonstandard IP address: %s", address)
	case !ip.IsValid():
		return nil, refuse("Invalid IP address: %s", address)
	case ip.Is4() && bits > 31:
		return nil, refuse("IPv4 mask bits must be < 32")
	case bits > 127:
		return nil, refuse("IPv6 mask bits must be < 128")
	}
	return cidr(netip.PrefixFrom(ip, bits).Masked()), nil
}

// wildcard is the parts of a string between its stars.
type wildcard []string

// parseWildcard reads a pattern: a star is any text, \* a star and \\ a backslash.
func parseWildcard(s string) (w wildcard, problem string) {
	var part []byte
	for i := 0; i < len(s); i++ {
		next := byte(0)
		if i+1 < len(s) {
			next = s[i+1]
		}
		switch {
		case s[i] == '*' && next == '*':
			return nil, "Consecutive wildcard characters at pos " + strconv.Itoa(i+1) // SNS counts the quote
		case s[i] == '*':
			w, part = append(w, string(part)), nil
		case s[i] == '\\' && next != '*' && next != '\\':
			return nil, "Invalid escape character at pos " + strconv.Itoa(i+1)
		case s[i] == '\\':
			i++
			part = append(part, next)
		default:
			part = append(part, s[i])
		}
	}
	if w = append(w, string(part)); len(w)-1 > maxStars {
		return nil, "Wildcard pattern can not have more than " + strconv.Itoa(maxStars) + " wildcards"
	}
	return w, ""
}

// points are what a pattern adds to the complexity of a policy: one for one star, three for each of several.
func (p wildcard) points() int {
	if stars := len(p) - 1; stars > 1 {
		return 3 * stars
	}
	return len(p) - 1
}

func (p wildcard) matches(v *value) bool {
	first, last := p[0], p[len(p)-1]
	if v.kind != tokenString || len(p) == 1 {
		return v.kind == tokenString && v.text == first
	}
	rest, ok := strings.CutPrefix(v.text, first)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, last); !ok {
		return false
	}
	for _, part := range p[1 : len(p)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return true
}
