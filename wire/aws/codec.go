package aws

import (
	"cmp"
	"net/http"
	"reflect"
	"strings"
	"sync"
)

// codec is one way to write requests and answers down.
type codec interface {
	// open finds out what a request asks for. Its ask is good for refuse even beside an error.
	open(r *http.Request, body []byte, limits *Limits) (ask, error)
	// answer writes what an action returned; header is that of the answer.
	answer(header http.Header, a *ask, id string, out any) ([]byte, error)
	refuse(header http.Header, a *ask, id string, e *Error) []byte
}

// ask is what a request asks for.
type ask struct {
	service *service
	action  string
	path    string // of the URL, where it may name a queue
	decode  func(into any) error
}

// codecOf picks the codec of a request: JSON has a target, all else is the query protocol.
func codecOf(r *http.Request) codec {
	if r.Header.Get("X-Amz-Target") != "" {
		return jsonCodec{}
	}
	return queryCodec{}
}

// field is one field of a struct of an action, as codecs name it. Its tags are encoding/json's, which name
// it in JSON, and query:"name,key,value": the query protocol's name for it, or for one element of it, and for
// the halves of an entry of a map, which else are Name and Value. A name with a dot, as in Topics.member, is
// one element in another: SNS has its lists and maps so.
type field struct {
	index      []int
	query      string
	key, value string
	omitEmpty  bool
}

// entries is how a map has its entries where nothing else is said.
var entries = field{key: "Name", value: "Value"}

var fieldsCache sync.Map // of []field by reflect.Type

// fieldsOf lists the fields of a struct, those of structs in it that have no name of their own included.
func fieldsOf(t reflect.Type) []field {
	if fs, ok := fieldsCache.Load(t); ok {
		return fs.([]field)
	}
	var fs []field
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		query, halves, _ := strings.Cut(f.Tag.Get("query"), ",")
		key, value, _ := strings.Cut(halves, ",")
		fs = append(fs, field{index: f.Index, query: cmp.Or(query, name, f.Name),
			key: cmp.Or(key, entries.key), value: cmp.Or(value, entries.value),
			omitEmpty: strings.Contains(options, "omitempty")})
	}
	fieldsCache.Store(t, fs)
	return fs
}
