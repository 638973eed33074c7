package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
	"github.com/tidings-io/tidings/wire/kafka"
)

func TestOrdersAreOfOneKibibyteAndSurviveJSON(t *testing.T) {
	for i, o := range orders {
		data, err := asJSON.encode(o)
		if err != nil || len(data) != eventBytes {
			t.Fatalf("order %d has %d bytes, %v; want %d", i, len(data), err, eventBytes)
		}
		var got order
		if err := asJSON.decode(data, &got); err != nil || got.Note != o.Note || got.Number != o.Number {
			t.Fatalf("order %d came back as %+v, %v", i, got, err)
		}
	}
	var o order
	if err := asBytes.decode([]byte("short"), &o); err == nil {
		t.Error("an event of 5 bytes passes for one of 1,024")
	}
}

// listen runs a broker in this process, and returns where it listens for Kafka and AMQP.
func listen(t *testing.T) (kafkaAddr, amqpAddr string) {
	b, err := broker.Open(t.TempDir(), broker.Config{
		Props: map[broker.PropsFormat]broker.PropsReader{broker.PropsAMQP: amqp.Props{}}})
	if err != nil {
		t.Fatal(err)
	}
	k, err := kafka.Listen(b, kafka.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := amqp.Listen(b, amqp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(k.Close(ctx), a.Close(ctx), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return k.Addr().String(), a.Addr().String()
}

func TestEveryLoadHandlesWhatItPublishes(t *testing.T) {
	kafkaAddr, amqpAddr := listen(t)
	at := map[string]string{"Kafka, by Tidings": kafkaAddr, "AMQP, by Tidings": amqpAddr}
	small := sizes{events: 300, time: 50 * time.Millisecond, atMost: 30 * time.Second}
	for _, p := range places(true) {
		addr, ok := at[p.name]
		if p.program != nil && !ok {
			continue
		}
		p.sizes = small
		tab := table{options: &options{}, place: &p, dir: t.TempDir()}
		if ok {
			tab.server = &measure.Server{Addr: addr}
		}
		for _, l := range tab.place.loads() {
			for _, c := range p.contenders(&l) {
				t.Run(p.name+"/"+l.name+"/"+c.name, func(t *testing.T) {
					r, err := tab.one(t.Context(), &c, &l)
					if err != nil {
						t.Fatal(err)
					}
					whole := strings.Contains(l.name, "backlog") && r.Records != int64(small.events)
					if whole || r.Records <= 0 || r.Seconds <= 0 || r.Bytes != r.Records*eventBytes {
						t.Errorf("got %d events of %d bytes in %v s", r.Records, r.Bytes, r.Seconds)
					}
				})
			}
		}
	}
}

func TestALoadEndsWithItsContext(t *testing.T) {
	s, err := oursEmbedded(t.Context(), t.TempDir(), wide)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close(context.Background())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out, err := publishAll(ctx, &stage{side: s, topic: "t", sizes: sizes{events: 1, time: time.Minute},
		start: func() {}}); err == nil {
		t.Errorf("got %+v, want an error", out)
	}
}

func TestTheReportPairsTheRoundsOfALoad(t *testing.T) {
	one := func(server string, round int, rate, cpu float64) result {
		return result{measure.Result{Load: inOrder, Server: server, Round: round, Rate: rate,
			ClientCPU: cpu}, 4}
	}
	p := places(true)[0]
	r := report{Command: "go run ./library", Rounds: 2}
	r.Places = []tested{{place: p, Name: p.name, Results: []result{
		one(oursName, 1, 100, 2), one(bareName, 1, 200, 1), one(bareName, 2, 400, 1),
		one(oursName, 2, 300, 3), {measure.Result{Load: unordered, Server: oursName, Rate: 200}, 4},
	}}}
	var out bytes.Buffer
	if err := r.writeMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| " + inOrder + " | 200/s | 300/s | 300/s / 400/s | 0.62 (0.50 to 0.75) | " +
			"2.5 / 1.0 | 4.0 / 4.0 |\n",
		"| in the process | 200/s | 200/s | 0.50 (0.50 to 0.50) | 2.5 / 0.0 |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	var back report
	if err := errors.Join(r.writeJSON(&out), json.Unmarshal(out.Bytes(), &back)); err != nil ||
		len(back.Places) != 1 || len(back.Places[0].Results) != 5 || back.Places[0].Name != p.name {
		t.Errorf("got %+v, %v", back, err)
	}
}
