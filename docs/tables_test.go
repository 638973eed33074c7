package docs_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/tidingstest"
	"github.com/tidings-io/tidings/transport/aws"
	"github.com/tidings-io/tidings/transport/embedded"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/tidings-io/tidings/transport/rabbitmq"
	"github.com/tidings-io/tidings/wire/amqp"
)

const library = "docs/library.md"

// TestTheTableOfCapabilitiesIsWhatTransportsSay compares the table between its marks with the
// transports.
func TestTheTableOfCapabilitiesIsWhatTransportsSay(t *testing.T) {
	columns := capable(t)
	table := []string{"| |", "|---|"}
	for _, c := range columns {
		table[0] += " " + c.name + " |"
		table[1] += "---|"
	}
	for field := range reflect.TypeFor[tidings.Capabilities]().Fields() {
		row := "| `" + field.Name + "` |"
		for _, c := range columns {
			row += " " + shown(reflect.ValueOf(c.can).FieldByIndex(field.Index).Interface()) + " |"
		}
		table = append(table, row)
	}
	compare(t, "capabilities", table)
}

type column struct {
	name string
	can  tidings.Capabilities
}

func capable(t *testing.T) []column {
	t.Helper()
	b, err := broker.Open("data", broker.Config{FS: vfs.NewMem(), FromTopic: amqp.FromTopic,
		Props: map[broker.PropsFormat]broker.PropsReader{broker.PropsAMQP: amqp.Props{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	k, err := kafka.New(kafka.Config{Seeds: []string{"127.0.0.1:1"}}) // nothing is asked of it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close(context.Background()) })
	inside := embedded.New(b, embedded.Config{})
	t.Cleanup(func() { _ = inside.Close(context.Background()) })
	return []column{{"embedded", inside.Capabilities()}, {"kafka", k.Capabilities()},
		{"rabbitmq", rabbit(t, b).Capabilities()}, {"aws", sqs(t, false)}, {"aws, FIFO", sqs(t, true)},
		{"tidingstest", tidingstest.NewTransport().Capabilities()}}
}

func rabbit(t *testing.T, b *broker.Broker) tidings.Transport {
	t.Helper()
	s, err := amqp.Listen(b, amqp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	r, err := rabbitmq.Open(t.Context(), rabbitmq.Config{URL: "amqp://guest:guest@" + s.Addr().String() + "/"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

func sqs(t *testing.T, fifo bool) tidings.Capabilities {
	t.Helper()
	a, err := aws.New(aws.Config{AWS: sdk.Config{Region: "eu-central-1"}, FIFO: fifo})
	if err != nil {
		t.Fatal(err)
	}
	return a.Capabilities()
}

// shown is a value as the tables have it.
func shown(v any) string {
	switch v := v.(type) {
	case bool:
		return map[bool]string{true: "yes", false: "–"}[v]
	case time.Duration:
		return lasting(v)
	case int:
		if v == 0 {
			return "no bound"
		}
		return fmt.Sprintf("%d", v)
	}
	return fmt.Sprint(v)
}

func lasting(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d == tidings.Forever:
		return "any"
	case d >= 48*time.Hour: // rounded down
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m") // 24h, not 24h0m0s
}

// TestEveryFieldOfAPolicyIsInItsTable compares names and defaults with what a service makes of a
// zero policy.
func TestEveryFieldOfAPolicyIsInItsTable(t *testing.T) {
	s := tidings.NewService("billing", tidingstest.NewTransport()).Subscribe(tidings.Policy{},
		tidings.OnAny("orders", func(context.Context, *tidings.Delivery) error { return nil }))
	fields := defaults("", reflect.ValueOf(s.Topology().Receives[0].Policy))
	fields["Group"] = "the service's name"
	fields["DeadLetter"] = "`<group>.dlq`"
	fields["From"], fields["Ack"], fields["Unknown"] = "`Latest`", "`AfterHandle`", "`SkipUnknown`"
	rows := marked(t, "policy")
	for name, value := range fields {
		if want := "| `" + name + "` | " + value + " |"; !slices.ContainsFunc(rows, func(row string) bool {
			return strings.HasPrefix(row, want)
		}) {
			t.Errorf("%s has no row that begins with %s", library, want)
		}
	}
	if len(rows) != len(fields)+2 {
		t.Errorf("%d rows for %d fields", len(rows)-2, len(fields))
	}
}

func defaults(prefix string, v reflect.Value) map[string]string {
	out := map[string]string{}
	for field := range v.Type().Fields() {
		value := v.FieldByIndex(field.Index)
		switch of := value.Interface().(type) {
		case tidings.Breaker:
			for name, text := range defaults(field.Name+".", value) {
				out[name] = text
			}
		case []time.Duration:
			var all []string
			for _, d := range of {
				all = append(all, plain(d))
			}
			out[prefix+field.Name] = strings.Join(all, ", ")
		case time.Duration:
			out[prefix+field.Name] = plain(of)
		default:
			out[prefix+field.Name] = fmt.Sprint(of)
		}
	}
	return out
}

// plain is a duration as people write it.
func plain(d time.Duration) string {
	if d >= time.Minute {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// compare holds the lines between two marks of the page against what they should be.
func compare(t *testing.T, name string, want []string) {
	t.Helper()
	lines := read(t, library)
	first, last := place(t, lines, name)
	if *update {
		write(t, library, slices.Replace(lines, first, last, want...))
		return
	}
	if got := lines[first:last]; !slices.Equal(got, want) {
		t.Errorf("%s: %s are not what the code says, see -update\ngot\n%s\nwant\n%s", library, name,
			strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func marked(t *testing.T, name string) []string {
	t.Helper()
	lines := read(t, library)
	first, last := place(t, lines, name)
	return lines[first:last]
}

// place is between <!-- name --> and <!-- /name -->.
func place(t *testing.T, lines []string, name string) (first, last int) {
	t.Helper()
	first = slices.Index(lines, "<!-- "+name+" -->") + 1
	last = slices.Index(lines, "<!-- /"+name+" -->")
	if first == 0 || last < first {
		t.Fatalf("%s has no place for %s", library, name)
	}
	return first, last
}
