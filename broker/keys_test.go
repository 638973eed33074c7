package broker

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage"
)

func TestKeysRoundTrip(t *testing.T) {
	name := Name{KindTopic, "a\x00b", "orders"}
	if got, err := decodeCatalogKey(catalogKey(name)); err != nil || got != name {
		t.Errorf("catalog key: got %+v %v, want %+v", got, err, name)
	}
	group, where := Name{KindGroup, "", "gruppe/1"}, cursorAt{newID(), 1 << 30}
	key := appendCursorKey(cursorPrefix(group), where)
	if g, a, err := decodeCursorKey(key); err != nil || g != group || a != where {
		t.Errorf("cursor key: got %+v %+v %v, want %+v %+v", g, a, err, group, where)
	}
	log, id, err := decodeProducerKey(appendProducerKey(nil, 7, 1<<40))
	if err != nil || log != 7 || id != 1<<40 {
		t.Errorf("producer key: got %d %d %v, want 7 %d", log, id, err, int64(1)<<40)
	}
}

func TestCursorPrefixesDoNotOverlap(t *testing.T) {
	a := string(cursorPrefix(Name{KindGroup, "", "ab"}))
	b := string(cursorPrefix(Name{KindGroup, "", "a"}))
	c := string(cursorPrefix(Name{KindGroup, "a", "b"}))
	if a[:len(b)] == b || c[:len(b)] == b || a == c {
		t.Errorf("prefixes %q, %q, %q overlap", a, b, c)
	}
}

func TestValuesRoundTrip(t *testing.T) {
	c := Cursor{Offset: 1 << 40, LeaderEpoch: -1, Metadata: "host 1", Time: at(99)}
	if got, err := decodeCursor(c.appendTo(nil)); err != nil || got != c {
		t.Errorf("cursor: got %+v %v, want %+v", got, err, c)
	}
	h := &streamHead{version: 67, open: []Offset{100, 101, 5000}}
	d := newDecoder(h.encode())
	got := &streamHead{version: int64(d.uvarint())}
	got.open = decodePositions(d, int(got.version%blockEvents))
	if err := d.end("head"); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("head: got %+v %v, want %+v", got, err, h)
	}
	conf := TopicConfig{
		RetentionTime: Forever, RetentionBytes: -1, SegmentBytes: 1 << 20, BatchBytes: 9,
		AppendTime: true, TimeAhead: time.Hour, Extra: map[string]string{"b": "2", "a": "1"},
	}
	value := append([]byte{valueVersion}, conf.appendTo(nil)...)
	d = newDecoder(value)
	gotConf := decodeTopicConfig(d)
	if err := d.end("config"); err != nil || !reflect.DeepEqual(gotConf, conf) {
		t.Errorf("config: got %+v %v, want %+v", gotConf, err, conf)
	}
	for cut := range value {
		d := newDecoder(value[:cut])
		decodeTopicConfig(d)
		if !d.bad && cut > 0 {
			t.Errorf("config cut to %d of %d bytes is not noticed", cut, len(value))
		}
	}
}

func TestValueOfANewerVersionIsRefused(t *testing.T) {
	c := Cursor{Offset: 1, Time: at(0)}
	value := c.appendTo(nil)
	value[0] = valueVersion + 1
	if _, err := decodeCursor(value); !errors.Is(err, storage.ErrFormat) {
		t.Errorf("got %v, want %v", err, storage.ErrFormat)
	}
	p := producer{}
	p.push(seqBatch{count: 1})
	value = p.appendTo(nil)
	value[0] = valueVersion + 1
	if _, err := decodeProducer(value); !errors.Is(err, storage.ErrFormat) {
		t.Errorf("got %v, want %v", err, storage.ErrFormat)
	}
}
