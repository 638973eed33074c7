package console

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

func TestEveryFieldAndEndpointIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(text)
	for pattern := range (&Server{c: Config{Groups: noFace{}}.withDefaults()}).routes() {
		if want := "`" + strings.TrimSuffix(pattern, "{$}") + "`"; !strings.Contains(docs, want) {
			t.Errorf("docs/api.md does not describe %s", want)
		}
	}
	for _, kind := range broker.Kinds() {
		if want := "`" + kinds[kind].code + "`"; !strings.Contains(docs, want) {
			t.Errorf("docs/api.md does not name the error code %s", want)
		}
	}
	for _, doc := range []any{Info{}, Topics{}, TopicDetail{}, NewTopic{}, Grow{}, Record{},
		Publish{},
		Published{}, StreamLine{}, Groups{}, GroupDetail{}, Reset{}, ResetPlan{}, Storage{},
		BackupTo{},
		BackedUp{}, Health{}, ErrorDocument{}, Lags{}, Queues{}, QueueDetail{}, NewQueue{}, QueuePurged{},
		Exchanges{}, ExchangeDetail{}, NewExchange{}, QueuePublish{}, QueuePublished{}, Consume{},
		ConsumeLine{}, Settle{}, Settled{}, Links{}, DeadLetters{}, Redrive{}, Redriven{}} {
		fieldsDocumented(t, docs, reflect.TypeOf(doc))
	}
}

func fieldsDocumented(t *testing.T, docs string, typ reflect.Type) {
	t.Helper()
	for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || typ.PkgPath() != reflect.TypeOf(Info{}).PkgPath() {
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		fieldsDocumented(t, docs, f.Type)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue // embedded
		}
		if !strings.Contains(docs, "`"+name+"`") && !strings.Contains(docs, `"`+name+`"`) {
			t.Errorf("docs/api.md does not name %s.%s (%q)", typ.Name(), f.Name, name)
		}
	}
}
