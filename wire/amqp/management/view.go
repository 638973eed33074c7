package management

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// view is what a query asks to see of an answer: columns, and of a list an order and a page.
//
//	columns=name,messages  sort=messages  sort_reverse=true
//	page=1  page_size=100  name=orders  use_regex=true  pagination=true
func view(q url.Values, doc any) (any, error) {
	switch doc := doc.(type) {
	case object:
		return columns(q, doc), nil
	case []object:
		return viewList(q, doc)
	}
	return doc, nil
}

func viewList(q url.Values, list []object) (any, error) {
	total := len(list)
	list, err := filtered(q, list)
	if err != nil {
		return nil, err
	}
	order(q, list)
	page, err := paged(q, list)
	if err != nil {
		return nil, err
	}
	shown := make([]object, 0, len(list)) // never null
	if page == nil {
		page = &window{to: len(list)}
	}
	for _, doc := range list[page.from:page.to] {
		shown = append(shown, columns(q, doc))
	}
	if page.number == 0 {
		return shown, nil
	}
	return object{"total_count": total, "filtered_count": len(list), "item_count": len(shown),
		"page": page.number, "page_size": page.size, "page_count": page.count, "items": shown}, nil
}

// longestExpression bounds an expression, in bytes: what it is compiled to is thousands of times as long.
const longestExpression = 1024

// filtered keeps documents whose name contains text, or matches an expression.
func filtered(q url.Values, list []object) ([]object, error) {
	name := q.Get("name")
	if name == "" {
		return list, nil
	}
	match := func(s string) bool { return strings.Contains(s, name) }
	if q.Get("use_regex") == "true" {
		if len(name) > longestExpression {
			return nil, badRequest("the expression has %d bytes, the limit is %d", len(name), longestExpression)
		}
		re, err := regexp.Compile("(?i)" + name)
		if err != nil {
			return nil, badRequest("name is no regular expression: %v", err)
		}
		match = re.MatchString
	}
	return slices.DeleteFunc(list, func(doc object) bool {
		s, _ := doc["name"].(string)
		return !match(s)
	}), nil
}

func order(q url.Values, list []object) {
	field := q.Get("sort")
	if field == "" {
		return
	}
	slices.SortStableFunc(list, func(a, b object) int { return compare(at(a, field), at(b, field)) })
	if q.Get("sort_reverse") == "true" {
		slices.Reverse(list)
	}
}

// compare orders numbers by size, and all else by how it reads.
func compare(a, b any) int {
	x, isX := number(a)
	y, isY := number(b)
	if isX && isY {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}

// at is the field at a dotted path: message_stats.publish.
func at(doc object, path string) any {
	first, rest, deeper := strings.Cut(path, ".")
	v, there := doc[first]
	if inner, ok := v.(object); ok && deeper {
		return at(inner, rest)
	}
	if !there || deeper {
		return nil
	}
	return v
}

func columns(q url.Values, doc object) object {
	asked := q.Get("columns")
	if asked == "" {
		return doc
	}
	out := object{}
	for path := range strings.SplitSeq(asked, ",") {
		if v := at(doc, path); v != nil {
			put(out, path, v)
		}
	}
	return out
}

func put(doc object, path string, v any) {
	first, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		doc[first] = v
		return
	}
	inner, ok := doc[first].(object)
	if !ok {
		inner = object{}
		doc[first] = inner
	}
	put(inner, rest, v)
}

// window is a page of a list.
type window struct{ number, size, count, from, to int }

const (
	defaultPage = 100
	largestPage = 500
)

// paged is nil where no page is asked for.
func paged(q url.Values, list []object) (*window, error) {
	if !q.Has("page") {
		return nil, nil
	}
	w := window{size: defaultPage}
	var err error
	if w.number, err = strconv.Atoi(q.Get("page")); err != nil || w.number < 1 {
		return nil, badRequest("page must be a number of at least 1")
	}
	if s := q.Get("page_size"); s != "" {
		if w.size, err = strconv.Atoi(s); err != nil || w.size < 1 || w.size > largestPage {
			return nil, badRequest("page_size must be a number from 1 to %d", largestPage)
		}
	}
	w.count = max(1, (len(list)+w.size-1)/w.size)
	if w.number > w.count {
		return nil, &problem{http.StatusBadRequest, "page_out_of_range", fmt.Sprintf(
			"page out of range, page: %d page size: %d, len: %d", w.number, w.size, len(list))}
	}
	w.from = (w.number - 1) * w.size
	w.to = min(w.from+w.size, len(list))
	return &w, nil
}
