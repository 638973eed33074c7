package filter

import "strings"

// number is a decimal in millionths. SNS promises five digits after the point and keeps about six: what is
// more is rounded. Floats would make 0.1 + 0.2 of it.
type number int64

const (
	decimals = 6
	largest  = number(1e9 * 1e6) // SNS compares what is between -10^9 and 10^9
)

// parseNumber reads a decimal number with an optional exponent. It is not ok if it is none, or too large to
// be compared.
func parseNumber(text string) (n number, ok bool) {
	unsigned := strings.TrimLeft(text, "+-")
	if len(text)-len(unsigned) > 1 {
		return 0, false
	}
	mantissa, exponent, ok := cutExponent(unsigned)
	if !ok {
		return 0, false
	}
	digits, point, ok := cutPoint(mantissa)
	if !ok {
		return 0, false
	}
	n, ok = scale(digits, point+exponent)
	if strings.HasPrefix(text, "-") {
		n = -n
	}
	return n, ok
}

func cutExponent(s string) (mantissa string, exponent int, ok bool) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, 0, true
	}
	digits := s[i+1:]
	negative := strings.HasPrefix(digits, "-")
	digits = strings.TrimPrefix(strings.TrimPrefix(digits, "-"), "+")
	if !allDigits(digits) || digits == "" {
		return "", 0, false
	}
	const most = 1 << 30 // longer than any text
	for _, c := range digits {
		exponent = min(exponent*10+int(c-'0'), most)
	}
	if negative {
		exponent = -exponent
	}
	return s[:i], exponent, true
}

// cutPoint gives the digits from the first that is not 0 on, and where the point is, counted from there.
func cutPoint(s string) (digits string, point int, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	digits = whole + fraction
	if !allDigits(digits) || digits == "" {
		return "", 0, false
	}
	significant := strings.TrimLeft(digits, "0")
	return significant, len(whole) - (len(digits) - len(significant)), true
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// scale makes 0.digits * 10^point a number.
func scale(digits string, point int) (n number, ok bool) {
	const most = 11 // digits before the point, one more than 10^9 has
	if digits == "" || point+decimals < 0 {
		return 0, true
	}
	if point > most {
		return 0, false
	}
	kept := point + decimals
	for i := range kept {
		n *= 10
		if i < len(digits) {
			n += number(digits[i] - '0')
		}
	}
	if kept < len(digits) && digits[kept] >= '5' {
		n++
	}
	return n, n <= largest
}
