package filter

import "slices"

// value reads one of the values of a field that begins with t. The points are those of a wildcard.
func (c *compiler) value(t token, f *field) (points int, err error) {
	switch t {
	case '{':
		return c.expression(f)
	case tokenString:
		f.any = append(f.any, newText(c.text(t)))
	case tokenNumber:
		f.any = append(f.any, newEqual(c.text(t)))
	case tokenTrue, tokenFalse, tokenNull:
		f.any = append(f.any, keyword(t))
	default:
		return 0, wrong(c.scanner, "Match value must be String, number, true, false, or null")
	}
	return 0, nil
}

// expression reads {"operator": ...}, whose '{' was read.
func (c *compiler) expression(f *field) (points int, err error) {
	if c.next() != tokenName {
		return 0, wrong(c.scanner, "Match expression name not found")
	}
	switch operator := c.name; operator {
	case "exists":
		return 0, c.exists(f)
	case "numeric":
		return 0, c.numeric(f)
	case "anything-but":
		return c.anythingBut(f)
	default:
		p, points, err := c.operator(operator, operator+" match pattern must be a string")
		if err != nil {
			return 0, err
		}
		f.any = append(f.any, p)
		return points, c.end("Only one key allowed in match expression")
	}
}

// operator reads the string that an operator is for.
func (c *compiler) operator(name, otherwise string) (p pattern, points int, err error) {
	switch name {
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
	case "cidr":
		otherwise = "prefix match pattern must be a string" // as SNS says
	default:
		return nil, 0, wrong(c.scanner, "Unrecognized match type %s", name)
	}
	if c.next() != tokenString {
		return nil, 0, wrong(c.scanner, "%s", otherwise)
	}
	switch text := c.text(tokenString); name {
	case "prefix":
		return prefix(text), 0, nil
	case "suffix":
		return suffix(text), 0, nil
	case "equals-ignore-case":
		return fold(text), 0, nil
	case "cidr":
		p, err := parseCIDR(text)
		return p, 0, err
	default:
		w, problem := parseWildcard(text)
		if problem != "" {
			return nil, 0, wrong(c.scanner, "%s", problem)
		}
		return w, w.points(), nil
	}
}

// end reads the '}' of an expression.
func (c *compiler) end(otherwise string) error {
	if c.next() != '}' {
		return wrong(c.scanner, "%s", otherwise)
	}
	return nil
}

func (c *compiler) exists(f *field) error {
	switch c.next() {
	case tokenTrue:
		f.present = true
	case tokenFalse:
		f.absent = true
	default:
		return wrong(c.scanner, "exists match pattern must be either true or false.")
	}
	return c.end("Only one key allowed in match expression")
}

const tooMany = "Too many elements in numeric expression"

// anythingBut reads a string, a number, a list of either, or an operator: that SNS takes others than "prefix"
// is not recorded, but on its page since 2025.
func (c *compiler) anythingBut(f *field) (points int, err error) {
	var not []pattern
	switch t := c.next(); t {
	case tokenString:
		not = []pattern{newText(c.text(t))}
	case tokenNumber:
		not, err = c.listed(nil, c.text(t))
	case '[':
		not, err = c.list()
	case '{':
		not, points, err = c.anythingButOperator()
	default:
		err = wrong(c.scanner, "Value of anything-but must be an array or single string/number value.")
	}
	if err != nil {
		return 0, err
	}
	f.any = append(f.any, except(not))
	return points, c.end(tooMany)
}

func (c *compiler) anythingButOperator() (not []pattern, points int, err error) {
	if c.next() != tokenName {
		return nil, 0, wrong(c.scanner, "Anything-But expression name not found")
	}
	operator := c.name
	if !slices.Contains([]string{"prefix", "suffix", "wildcard"}, operator) {
		return nil, 0, wrong(c.scanner, "Unsupported anything-but pattern: %s", operator)
	}
	p, points, err := c.operator(operator, operator+" match pattern must be a string")
	if err != nil {
		return nil, 0, err
	}
	if p == prefix("") || p == suffix("") {
		return nil, 0, wrong(c.scanner, "Null prefix/suffix not allowed")
	}
	return []pattern{p}, min(points, 1), c.end("Only one key allowed in match expression")
}

// list reads the values of an "anything-but": strings or numbers.
func (c *compiler) list() (not []pattern, err error) {
	strings, numbers := 0, 0
	for t := c.next(); t != ']'; t = c.next() {
		switch t {
		case tokenString:
			strings++
			not = append(not, newText(c.text(t)))
		case tokenNumber:
			numbers++
			if not, err = c.listed(not, c.text(t)); err != nil {
				return nil, err
			}
		default:
			return nil, wrong(c.scanner, "Inside anything but list, start|null|boolean is not supported.")
		}
	}
	if (strings > 0) == (numbers > 0) {
		return nil, wrong(c.scanner,
			"Inside anything but list, either all values are number or string, mixed type is not supported")
	}
	return not, nil
}

const outOfRange = "Value must be between -1.0E9 and 1.0E9, inclusive"

func (c *compiler) listed(not []pattern, text string) ([]pattern, error) {
	n, ok := parseNumber(text)
	if !ok {
		return nil, wrong(c.scanner, outOfRange)
	}
	return append(not, between{n, n}), nil
}

// numeric reads ["=", n], ["<", n], [">", n, "<=", m] and the like.
func (c *compiler) numeric(f *field) error {
	if c.next() != '[' {
		return wrong(c.scanner, "Value of numeric must be an array.")
	}
	t := c.next()
	operator := c.text(t)
	if t != tokenString {
		return wrong(c.scanner, "Invalid member in numeric match: %s", operator)
	}
	t = c.next()
	if !slices.Contains([]string{"=", "<", "<=", ">", ">="}, operator) {
		return wrong(c.scanner, "Unrecognized numeric range operator: %s", operator)
	}
	first, err := c.bound(t, operator)
	if err != nil {
		return err
	}
	r := everything
	r.limit(operator, first)
	switch t = c.next(); {
	case t == ']':
	case operator[0] != '>':
		return wrong(c.scanner, tooMany)
	default:
		if err := c.top(t, first, &r); err != nil {
			return err
		}
	}
	f.any = append(f.any, r)
	return c.end(tooMany)
}

// bound is the number of a numeric operator.
func (c *compiler) bound(t token, operator string) (number, error) {
	if operator == "=" {
		operator = "equals"
	}
	if t != tokenNumber {
		return 0, wrong(c.scanner, "Value of %s must be numeric", operator)
	}
	n, ok := parseNumber(c.text(t))
	if !ok {
		return 0, wrong(c.scanner, outOfRange)
	}
	return n, nil
}

// top reads the second half of a range, which begins with t.
func (c *compiler) top(t token, bottom number, r *between) error {
	operator := c.text(t)
	if t != tokenString {
		return wrong(c.scanner, "Bad value in numeric range: %s", operator)
	}
	if operator != "<" && operator != "<=" {
		return wrong(c.scanner, "Bad numeric range operator: %s", operator)
	}
	n, err := c.bound(c.next(), operator)
	if err != nil {
		return err
	}
	r.limit(operator, n)
	switch {
	case c.next() != ']':
		return wrong(c.scanner, "Too many terms in numeric range expression")
	case bottom >= n:
		return wrong(c.scanner, "Bottom must be less than top")
	}
	return nil
}
