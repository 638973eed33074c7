package filter

import (
	"fmt"
	"strings"
	"testing"
)

// largeBody is 256 KiB of records.
func largeBody() string {
	var b strings.Builder
	b.WriteString(`{"version":"0","Records":[`)
	for i := 0; b.Len() < 256<<10-200; i++ {
		fmt.Fprintf(&b, `{"id":%d,"name":"record-%[1]d","region":"eu-central-1","size":%[1]d.5,"tags":["a","b"]},`, i)
	}
	b.WriteString(`{"id":-1,"name":"last","region":"mars"}],"source":"bench"}`)
	return b.String()
}

const (
	benchTop   = `{"source":["bench",{"prefix":"x"}],"version":[{"anything-but":"1"}]}`
	benchArray = `{"Records":{"name":["last"],"region":[{"prefix":"ma"}]},"source":["bench"]}`
	benchBoth  = `{"Records":{"size":[{"numeric":[">",5]}],"region":[{"prefix":"eu"}]}}`
)

func BenchmarkDecode(b *testing.B) {
	body := largeBody()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		NewMessage(nil, body).form(MessageBody)
	}
}

// BenchmarkMatch is one policy more, against a body that was decoded.
func BenchmarkMatch(b *testing.B) {
	m := NewMessage(nil, largeBody())
	for name, policy := range map[string]string{"top": benchTop, "array": benchArray, "both": benchBoth} {
		b.Run(name, func(b *testing.B) {
			p, err := Parse(policy, MessageBody)
			if err != nil || !p.Match(m) {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Match(m)
			}
		})
	}
}

func BenchmarkAttributes(b *testing.B) {
	p, err := Parse(`{"store":["example_corp"],"price":[{"numeric":[">=",100]}]}`, MessageAttributes)
	if err != nil {
		b.Fatal(err)
	}
	attributes := map[string]Attribute{
		"store": {"String", "example_corp"}, "price": {"Number", "100"}, "other": {"String", "x"},
	}
	b.ReportAllocs()
	for b.Loop() {
		if !p.Match(NewMessage(attributes, "")) {
			b.Fatal("no match")
		}
	}
}
