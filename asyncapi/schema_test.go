package asyncapi_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/asyncapi"
	"github.com/tidings-io/tidings/tidingstest"
)

// written has what encoding/json writes in a way of its own.
type written struct {
	Bytes    []byte
	Hash     hash
	Array    [2]byte
	Raw      json.RawMessage
	Number   json.Number
	Map      map[string]int
	Maps     []map[string]any
	Time     time.Time
	Maybe    *time.Time
	Big      *big.Int
	Address  netip.Addr
	Byname   map[netip.Addr]line
	Level    level
	Levels   []*level
	Anything any
	Inner    struct{ Bytes []byte }
	Pair     pair
	Pairs    []*pair
}

type hash []byte

// level is written as a text, pair as a list.
type level int

func (l level) MarshalText() ([]byte, error) { return []byte("high"), nil }

type pair struct{ a, b int }

func (p *pair) MarshalJSON() ([]byte, error) { return json.Marshal([]int{p.a, p.b}) }

// The data of every event satisfies the schema of its type.
func TestDataSatisfiesItsSchema(t *testing.T) {
	typ := tidings.Define[*written]("t", "n")
	var text bytes.Buffer
	err := asyncapi.Write(&text, asyncapi.Info{}, tidings.NewService("s", tidingstest.NewTransport()).Produces(typ))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Components struct{ Schemas map[string]*jsonschema.Schema }
	}
	if err := json.Unmarshal(text.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	schema, err := d.Components.Schemas["n"].Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	now, high := time.Now(), level(1)
	for what, data := range map[string]*written{
		"nothing": {Number: "0", Raw: json.RawMessage("null")},
		"all": {Bytes: []byte("a"), Hash: hash("b"), Raw: json.RawMessage(`{"a":[1]}`), Number: "1.5", Map: map[string]int{"a": 1},
			Maps: []map[string]any{nil, {"a": "b"}}, Maybe: &now, Big: big.NewInt(7), Address: netip.IPv6Loopback(),
			Byname: map[netip.Addr]line{netip.IPv6Loopback(): {}}, Levels: []*level{nil, &high}, Anything: 1, Pairs: []*pair{nil, {1, 2}}},
	} {
		e := typ.New(data)
		var value any
		if err := json.Unmarshal(e.Payload, &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %s\n%v", what, e.Payload, err)
		}
	}
}
