package aws

import (
	"cmp"
	"encoding/base64"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// queryCodec is the query protocol: a form in, in the body or in the URL, and XML out. The queue may be
// named by the path of the URL.
type queryCodec struct{}

func (queryCodec) open(r *http.Request, body []byte, limits *Limits) (ask, error) {
	a := ask{service: services[0], path: r.URL.Path}
	form, err := formOf(r, body, limits.Values)
	if err != nil {
		a.service = serviceOf(r, "", "")
		return a, err
	}
	a.action = form.text("Action")
	a.service = serviceOf(r, form.text("Version"), a.action)
	if a.action == "" {
		return a, missing("Action")
	}
	if err := a.checkPlace(); err != nil {
		return a, err
	}
	a.decode = func(into any) error { return form.fill(reflect.ValueOf(into).Elem(), entries) }
	return a, nil
}

// checkPlace refuses what is asked for at the URL of a queue, and is not about one.
func (a *ask) checkPlace() error {
	if a.service != services[0] || !strings.Contains(strings.Trim(a.path, "/"), "/") {
		return nil
	}
	_, unknown := a.service.find(a.action)
	if unknown != nil || a.action == "CreateQueue" || a.action == "ListQueues" {
		return errorf(invalidAction, "The action %s is not valid for this endpoint.", short(a.action))
	}
	return nil
}

// formNode is a form as a tree: each name is a path with dots.
type formNode struct {
	value string
	set   bool
	kids  map[string]*formNode
}

// maxPath is how many parts a name may have; requests need seven.
const maxPath = 12

// formOf takes the form of a request apart. It counts the values before it makes any of them.
func formOf(r *http.Request, body []byte, values int) (*formNode, error) {
	root := &formNode{}
	raws := []string{r.URL.RawQuery}
	if r.Method == http.MethodPost && len(body) > 0 {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			return root, errorf(serialization, "The request is neither a form nor has it an X-Amz-Target.")
		}
		raws = append(raws, string(body))
	}
	for _, raw := range raws {
		if values -= strings.Count(raw, "&"); values < 0 {
			return root, errorf(serialization, "The request has too many values.")
		}
		if err := root.add(raw); err != nil {
			return root, err
		}
	}
	return root, nil
}

func (n *formNode) add(raw string) error {
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if pair == "" {
			continue
		}
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if cmp.Or(err1, err2) != nil || !utf8.ValidString(value) || strings.Count(name, ".") >= maxPath {
			return errorf(serialization, "The request is not a form as the query protocol has it.")
		}
		n.put(name, value)
	}
	return nil
}

func (n *formNode) put(name, value string) {
	for part := range strings.SplitSeq(name, ".") {
		next := n.kids[part]
		if next == nil {
			next = &formNode{}
			if n.kids == nil {
				n.kids = map[string]*formNode{}
			}
			n.kids[part] = next
		}
		n = next
	}
	n.value, n.set = value, true
}

func (n *formNode) text(name string) string {
	if kid := n.kids[name]; kid != nil {
		return kid.value
	}
	return ""
}

// at is what stands at a path below n; nil: nothing.
func (n *formNode) at(path string) *formNode {
	for part := range strings.SplitSeq(path, ".") {
		if n = n.kids[part]; n == nil {
			return nil
		}
	}
	return n
}

// fill sets a value from what stands below n. f says how entries of a map are named.
func (n *formNode) fill(v reflect.Value, f field) error {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return n.fill(v.Elem(), f)
	case reflect.String:
		v.SetString(n.value)
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(n.value, 10, 32)
		if err != nil {
			return errorf(serialization, "%q is not a number.", n.value)
		}
		v.SetInt(i)
	case reflect.Bool:
		b, err := strconv.ParseBool(n.value)
		if err != nil {
			return errorf(serialization, "%q is neither true nor false.", n.value)
		}
		v.SetBool(b)
	case reflect.Slice:
		return n.fillList(v, f)
	case reflect.Map:
		return n.fillMap(v, f)
	case reflect.Struct:
		return n.fillStruct(v)
	default:
		panic("aws: a form has no " + v.Kind().String())
	}
	return nil
}

func (n *formNode) fillStruct(v reflect.Value) error {
	for _, f := range fieldsOf(v.Type()) {
		if kid := n.at(f.query); kid != nil {
			if err := kid.fill(v.FieldByIndex(f.index), f); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillList reads name.1, name.2 and so on: in the order of the numbers, whichever they are.
// One element needs none.
func (n *formNode) fillList(v reflect.Value, f field) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		b, err := base64.StdEncoding.DecodeString(n.value)
		if err != nil {
			return errorf(serialization, "A binary value is not base64.")
		}
		v.SetBytes(b)
		return nil
	}
	kids := n.numbered()
	if len(kids) == 0 && n.value != "" { // with one element, as old SDKs write it
		kids = []*formNode{n}
	}
	list := reflect.MakeSlice(v.Type(), len(kids), len(kids))
	for i, kid := range kids {
		if err := kid.fill(list.Index(i), f); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

// fillMap reads name.1.Name and name.1.Value and so on, or what its halves are called.
// One entry needs no number.
func (n *formNode) fillMap(v reflect.Value, f field) error {
	v.Set(reflect.MakeMap(v.Type()))
	kids := n.numbered()
	if n.kids[f.key] != nil { // one entry, as old SDKs write it
		kids = append(kids, n)
	}
	for _, kid := range kids {
		value := reflect.New(v.Type().Elem()).Elem()
		if half := kid.kids[f.value]; half != nil {
			if err := half.fill(value, entries); err != nil {
				return err
			}
		}
		v.SetMapIndex(reflect.ValueOf(kid.text(f.key)), value)
	}
	return nil
}

// numbered lists the elements below n by number; what is no number is none.
func (n *formNode) numbered() (kids []*formNode) {
	var at []int
	for part := range maps.Keys(n.kids) {
		if i, err := strconv.Atoi(part); err == nil && strconv.Itoa(i) == part {
			at = append(at, i)
		}
	}
	slices.Sort(at)
	for _, i := range at {
		kids = append(kids, n.kids[strconv.Itoa(i)])
	}
	return kids
}

func (queryCodec) answer(h http.Header, a *ask, id string, out any) ([]byte, error) {
	h.Set("Content-Type", "text/xml")
	x := xmlWriter{}
	x.WriteString(xmlHead)
	x.WriteString("<" + a.action + `Response xmlns="` + a.service.namespace + `">`)
	if v := reflect.ValueOf(out).Elem(); v.NumField() > 0 {
		x.value(a.action+"Result", v, entries)
	}
	x.WriteString("<ResponseMetadata><RequestId>" + id + "</RequestId></ResponseMetadata></" +
		a.action + "Response>")
	return x.Bytes(), nil
}

func (queryCodec) refuse(h http.Header, a *ask, id string, e *Error) []byte {
	h.Set("Content-Type", "text/xml")
	what := e.identity()
	x := xmlWriter{}
	x.WriteString(xmlHead)
	x.WriteString(`<ErrorResponse xmlns="` + a.service.namespace + `"><Error>`)
	x.text("Type", what.fault())
	x.text("Code", what.query)
	message := e.Message
	if e.Code == queueDoesNotExist {
		message = "The specified queue does not exist for this wsdl version." // which this protocol has
	}
	x.text("Message", message)
	x.WriteString("<Detail/></Error>")
	x.text("RequestId", id)
	x.WriteString("</ErrorResponse>")
	return x.Bytes()
}
