package amqp

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestAFrameIsReadWhenItIsComplete(t *testing.T) {
	heartbeat := unhex(t, "08 0000 00000000 ce")
	body := unhex(t, "03 0001 00000005 68656c6c6f ce")
	stream := append(bytes.Clone(body), heartbeat...)

	for end := range len(body) {
		_, n, err := parseFrame(stream[:end], minFrameMax)
		if want := wanted(end, len(body)); err != errMore || n != want {
			t.Fatalf("%d bytes of a body: n %d, %v, want %d and errMore", end, n, err, want)
		}
	}
	f, n, err := parseFrame(stream, minFrameMax)
	if err != nil || n != len(body) || f.kind != frameBody || f.channel != 1 ||
		string(f.payload) != "hello" || cap(f.payload) != len(f.payload) {
		t.Fatalf("got %+v, %d, %v", f, n, err)
	}
	f, n, err = parseFrame(stream[n:], minFrameMax)
	if err != nil || n != len(heartbeat) || f.kind != frameHeartbeat || len(f.payload) != 0 {
		t.Fatalf("got %+v, %d, %v", f, n, err)
	}
	got := appendBody(nil, 1, []byte("hello"), minFrameMax)
	if got = appendFrame(got, f); !bytes.Equal(got, stream) {
		t.Fatalf("got  %x\nwant %x", got, stream)
	}
}

// wanted is how much a reader that has seen n bytes should wait for.
func wanted(n, whole int) int {
	if n < frameHeadBytes {
		return frameHeadBytes
	}
	return whole
}

func TestABadFrameIsRefusedAtItsHead(t *testing.T) {
	for _, test := range []struct {
		name, head string
		code       uint16
	}{
		{"type 0", "00 0000 00000000", replyFrameError},
		{"type 4", "04 0000 00000000", replyFrameError},
		{"http", "47 4554 202f2048", replyFrameError},
		{"heartbeat on a channel", "08 0001 00000000", replyUnexpectedFrame},
		{"heartbeat with a payload", "08 0000 00000001", replyFrameError},
		{"one more than the limit and what is forgiven", "03 0001 00001001", replyFrameError},
		{"4 GiB", "03 0001 ffffffff", replyFrameError},
	} {
		_, n, err := parseFrame(unhex(t, test.head), minFrameMax)
		if code(err) != test.code || n != 0 {
			t.Errorf("%s: n %d, %v, want code %d", test.name, n, err, test.code)
		}
	}
	_, _, err := parseFrame(unhex(t, "03 0001 ffffffff"), math.MaxUint32)
	if code(err) != replyFrameError {
		t.Errorf("4 GiB without a limit: %v", err)
	}
}

func TestAFrameMayForgetItsOverhead(t *testing.T) {
	body := frame{kind: frameBody, channel: 1, payload: make([]byte, minFrameMax)}
	whole := appendFrame(nil, body)
	if _, n, err := parseFrame(whole, minFrameMax); err != nil || n != minFrameMax+frameOverhead {
		t.Fatalf("n %d, %v", n, err)
	}
}

func TestAFrameEndsWithItsEndOctet(t *testing.T) {
	_, _, err := parseFrame(unhex(t, "03 0001 00000001 68 cf"), minFrameMax)
	if code(err) != replyFrameError {
		t.Fatal(err)
	}
}

func TestABodyIsCutToTheFrameLimit(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 1000)
	var got []byte
	rest := appendBody(nil, 3, body, minFrameMax)
	for frames := 0; len(rest) > 0; frames++ {
		f, n, err := parseFrame(rest, minFrameMax)
		if err != nil || n > minFrameMax || f.channel != 3 || frames == 3 {
			t.Fatalf("frame %d: %d bytes, %v", frames, n, err)
		}
		got = append(got, f.payload...)
		rest = rest[n:]
	}
	if !bytes.Equal(got, body) {
		t.Fatal("the pieces are not the body")
	}
	if got := appendBody(nil, 3, nil, minFrameMax); len(got) != 0 {
		t.Fatalf("an empty body has frames: %x", got)
	}
}

func TestProtocolHeaders(t *testing.T) {
	for header, want := range map[string]bool{
		"AMQP\x00\x00\x09\x01": true,
		"AMQP\x01\x01\x00\x09": true,
		"AMQP\x01\x01\x08\x00": false,
		"AMQP\x03\x01\x00\x00": false, // 1.0 with SASL
		"AMQP\x00\x00\x09\x00": false,
		"GET / HT":             false,
		"AMQP":                 false,
	} {
		if got := speaks([]byte(header)); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.frame))
	}
	f.Add(unhex(f, goldenHeader))
	f.Add(unhex(f, "08 0000 00000000 ce"))
	f.Fuzz(func(t *testing.T, buf []byte) {
		const limit = 1 << 17
		got, n, err := parseFrame(buf, limit)
		switch {
		case err == errMore:
			if n <= len(buf) || n > limit+frameOverhead {
				t.Fatalf("asks for %d bytes having %d", n, len(buf))
			}
		case err != nil:
			if code(err) == 0 || n != 0 {
				t.Fatalf("n %d, %v", n, err)
			}
		default:
			if again := appendFrame(nil, got); !bytes.Equal(again, buf[:n]) {
				t.Fatalf("got  %x\nwant %x", again, buf[:n])
			}
		}
	})
}

// code is the reply code of an error, 0 if it has none.
func code(err error) uint16 {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
