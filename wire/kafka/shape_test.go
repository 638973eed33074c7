package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// eachVersion runs f for every version of every served request.
func eachVersion(t *testing.T, f func(t *testing.T, e *entry, version int16)) {
	for _, e := range table {
		for v := e.Min; v <= e.Max; v++ {
			t.Run(fmt.Sprintf("%s/%d", e.Name, v), func(t *testing.T) { f(t, e, v) })
		}
	}
}

// randomize fills a request with what could stand there.
func randomize(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rng.Int64() >> rng.IntN(64) << (64 - v.Type().Bits()) >> (64 - v.Type().Bits()))
	case reflect.String:
		v.SetString(string(make([]byte, rng.IntN(200))))
	case reflect.Pointer:
		if rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			randomize(rng, v.Elem())
		}
	case reflect.Slice:
		if rng.IntN(4) > 0 {
			v.Set(reflect.MakeSlice(v.Type(), rng.IntN(4), 4))
		}
		for i := range v.Len() {
			randomize(rng, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(rng.Uint64N(256))
		}
	case reflect.Uint8:
		v.SetUint(rng.Uint64N(256))
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			for range rng.IntN(3) {
				tags.Set(uint32(50+rng.IntN(500)), make([]byte, rng.IntN(300)))
			}
			return
		}
		for i := range v.NumField() {
			randomize(rng, v.Field(i))
		}
	}
}

func randomRequest(rng *rand.Rand, e *entry, version int16) kmsg.Request {
	q := kmsg.RequestForKey(e.Key)
	randomize(rng, reflect.ValueOf(q).Elem())
	q.SetVersion(version)
	return q
}

func TestShapesAreThoseOfTheCodec(t *testing.T) {
	eachVersion(t, func(t *testing.T, e *entry, version int16) {
		rng := rand.New(rand.NewPCG(uint64(e.Key), uint64(version)))
		for range 300 {
			body := randomRequest(rng, e, version).AppendTo(nil)
			if err := e.shape.check(body, version, math.MaxInt32); err != nil {
				t.Fatalf("got %v for %x, want none", err, body)
			}
			if err := e.shape.check(append(body, 0), version, math.MaxInt32); err == nil {
				t.Fatalf("got no error for a byte too many behind %x", body)
			}
			if len(body) == 0 {
				continue
			}
			short := body[:rng.IntN(len(body))]
			if err := e.shape.check(short, version, math.MaxInt32); err == nil {
				t.Fatalf("got no error for %x, which ends early", short)
			}
		}
	})
}

func TestBodiesThatPassTheirShapeDecode(t *testing.T) {
	eachVersion(t, func(t *testing.T, e *entry, version int16) {
		rng := rand.New(rand.NewPCG(uint64(e.Key), uint64(version)))
		for range 300 {
			body := randomRequest(rng, e, version).AppendTo(nil)
			for range 1 + rng.IntN(3) {
				if len(body) > 0 {
					body[rng.IntN(len(body))] = byte(rng.IntN(256))
				}
			}
			r := request{key: e.Key, version: version}
			if e.shape.check(body, version, 10_000) != nil {
				continue
			}
			if _, err := r.decode(e, body, 10_000); err != nil {
				t.Fatalf("got %v for %x, want none: it passed", err, body)
			}
		}
	})
}

func TestShapeBoundsWhatIsAnnounced(t *testing.T) {
	groups := func(n uint32, rest string) []byte {
		return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, rest...)
	}
	for _, c := range []struct {
		name string
		body []byte
		want error
	}{
		{"two names", groups(2, "\x00\x01a\x00\x01b"), nil},
		{"more names than bytes", groups(4, "\x00\x01a"), errShort},
		{"as many names as can be said", groups(1<<31-1, "\x00\x01a"), errTooMany},
		{"more names than there are", groups(3, "\x00\x01a\x00\x01b"), errShort},
		{"a name that is longer than the rest", groups(1, "\x7f\xffa"), errShort},
		{"a null name", groups(1, "\xff\xff"), errNull},
		{"a null list", groups(0xffffffff, ""), errNull},
		{"a list of length -2", groups(0xfffffffe, ""), errNull},
		{"something behind the end", groups(0, "x"), errTrailing},
		{"more names than the limit", groups(5, string(make([]byte, 10))), errTooMany},
	} {
		got := shapeDescribeGroups.check(c.body, 0, 4)
		if !errors.Is(got, c.want) || got == nil != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestShapeBoundsTaggedFields(t *testing.T) {
	for _, c := range []struct {
		name string
		tags string // behind an empty compact array of group names and a bool
		want error
	}{
		{"none", "\x00", nil},
		{"two", "\x02\x07\x01a\x08\x00", nil},
		{"a huge number of them", "\xff\xff\xff\xff\x07", errShort},
		{"a number beyond 32 bits", "\xff\xff\xff\xff\xff\xff\x01", errShort},
		{"out of order", "\x02\x08\x00\x07\x00", errTags},
		{"twice the same", "\x02\x07\x00\x07\x00", errTags},
		{"longer than the rest", "\x01\x07\x05ab", errShort},
		{"more than the limit", "\x05\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00", errTooMany},
	} {
		got := shapeDescribeGroups.check([]byte("\x01\x00"+c.tags), 5, 4)
		if !errors.Is(got, c.want) || got == nil != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestShapeWalksIntoTaggedFields(t *testing.T) {
	q := kmsg.NewPtrFetchRequest()
	q.Version = 18
	q.ReplicaState.ID = 5
	body := q.AppendTo(nil)
	if err := shapeFetch.check(body, 18, 100); err != nil {
		t.Fatalf("got %v for a replica's state, want none", err)
	}
	// The state ends with its own tagged fields: let it claim to have four billion.
	at := len(body) - 1
	if body[at] != 0 {
		t.Fatalf("got %x at the end of the state, want no tagged fields", body[at])
	}
	bad := append(body[:at:at], 0x7f)
	if err := shapeFetch.check(bad, 18, 100); !errors.Is(err, errShort) {
		t.Fatalf("got %v, want %v", err, errShort)
	}
}

func FuzzRequest(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, e := range table {
		for v := e.Min; v <= e.Max; v++ {
			f.Add(encode(randomRequest(rng, e, v), 7)[lengthBytes:])
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < minHeader {
			return
		}
		in := arrivedWhole(frame)
		r, e, err := readHeader(in)
		if err != nil || r.version > e.Max || r.version < e.Min {
			return
		}
		const limit = 1000
		body := in.rest()
		checked := e.shape.check(body, r.version, limit)
		q, err := r.decode(e, body, limit)
		if (err == nil) != (checked == nil) {
			t.Fatalf("shape says %v, codec %v", checked, err)
		}
		if err == nil && q.GetVersion() != r.version {
			t.Fatalf("got version %d, want %d", q.GetVersion(), r.version)
		}
	})
}

// arrivedWhole is a frame of which nothing is missing.
func arrivedWhole(frame []byte) *frames {
	return &frames{buf: frame, w: len(frame), left: len(frame), memory: share{of: newBudget(0)}}
}

// FuzzProduce feeds the one request that is not decoded by the codec.
func FuzzProduce(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := serve(f)
	r.topic("t", 1)
	e := lookup(keyProduce)
	for v := e.Min; v <= e.Max; v++ {
		q := produceRequest("t", [16]byte{}, batch(f, "x"))
		q.SetVersion(v)
		f.Add(v, q.AppendTo(nil))
		f.Add(v, randomRequest(rng, e, v).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < e.Min || version > e.Max {
			return
		}
		c := &conn{srv: r.server, ctx: context.Background(), in: arrivedWhole(body)}
		q := &request{key: keyProduce, version: version, flexible: version >= e.shape.flexible}
		_, broken := c.produce(q).(hangUp)
		err := c.in.end()
		// What the codec can read must be read here, and the other way round.
		if want := e.shape.check(body, version, 1_000_000); (want == nil) != (err == nil) {
			t.Fatalf("got %v (hang up: %v), want %v for %x", err, broken, want, body)
		}
	})
}
