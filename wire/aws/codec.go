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
// it in JSON, and query:"name,key": the query protocol's name for it, or for one element of it, and for the
// first half of an entry of a map, which else is Name.
type field struct {
	index     []int
	query     string
	key       string
	omitEmpty bool
}

var fieldsCache sync.Map // of []field by reflect.Type

// fieldsOf lists the fields of a struct, those of structs in it that have no name of their own included.
func fieldsOf(t reflect.Type) []field {
	if fs, ok := fieldsCache.Load(t); ok {
		return fs.([]field)
	}
	var fs []field
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		query, key, _ := strings.Cut(f.Tag.Get("query"), ",")
		fs = append(fs, field{index: f.Index, query: cmp.Or(query, name, f.Name), key: cmp.Or(key, "Name"),
			omitEmpty: strings.Contains(options, "omitempty")})
	}
	fieldsCache.Store(t, fs)
	return fs
}
