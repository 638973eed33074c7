package tidings_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tidings-io/tidings"

// floors is the table of ARCHITECTURE.md: what a room may import of the house,
// and what of other modules. A room that is not here must be added with a
// sentence there.
var floors = map[string]struct {
	house  []string
	others []string // module path prefixes
	never  []string // of the standard library
}{
	"storage/vfs": {never: []string{"net"}},
	"storage":     {house: []string{"storage/vfs"}, never: []string{"net"}},
	"broker": {
		house:  []string{"storage", "storage/vfs"},
		others: []string{"github.com/klauspost/compress", "github.com/pierrec/lz4/v4"},
		never:  []string{"net"},
	},
	"listener": {},
	"wire/kafka": {
		house:  []string{"broker", "listener"},
		others: []string{"github.com/twmb/franz-go/pkg/kmsg"},
	},
	"wire/amqp":            {house: []string{"broker", "listener"}},
	"wire/aws/notify":      {house: []string{"broker"}},
	"wire/aws/filter":      {never: []string{"net/http"}},
	"wire/aws":             {house: []string{"broker", "listener", "wire/aws/filter", "wire/aws/notify"}},
	"wire/amqp/management": {house: []string{"broker", "listener", "wire/amqp"}},
	"console": {
		house:  []string{"broker", "listener"},
		others: []string{"github.com/prometheus/client_golang"},
	},
	"cmd/tidings": {
		house: []string{"storage", "storage/vfs", "broker", "listener", "wire/kafka", "wire/amqp", "wire/amqp/management",
			"wire/aws", "wire/aws/notify", "console", ".", "transport/embedded", "examples/shop"},
		others: []string{"github.com/spf13", "github.com/goccy/go-yaml", "github.com/twmb/franz-go", "golang.org/x/sys",
			"github.com/prometheus/client_golang"},
	},

	// The library.
	".":              {never: []string{"net"}},
	"codec/avro":     {house: []string{"."}, others: []string{"github.com/twmb/avro"}, never: []string{"net"}},
	"codec/protobuf": {house: []string{"."}, others: []string{"google.golang.org/protobuf"}, never: []string{"net"}},
	"otel":           {house: []string{"."}, others: []string{"go.opentelemetry.io/otel"}, never: []string{"net"}},
	"asyncapi":       {house: []string{"."}, others: []string{"github.com/google/jsonschema-go"}, never: []string{"net"}},
	"inbox":          {house: []string{"."}, never: []string{"net"}},
	"outbox":         {house: []string{"."}, never: []string{"net"}},
	"eventstore":     {house: []string{"."}, never: []string{"net"}},
	"projection":     {house: []string{".", "eventstore"}, never: []string{"net"}},
	"saga":           {house: []string{"."}, never: []string{"net"}},
	"tidingstest":    {house: []string{".", "saga"}, never: []string{"net"}},
	"examples/shop": {
		house: []string{".", "broker", "eventstore", "inbox", "saga", "store/embedded", "transport/embedded"},
		never: []string{"net"},
	},
	"examples/shop/cmd/shop": {
		house: []string{".", "broker", "examples/shop", "transport/aws", "transport/embedded", "transport/kafka",
			"transport/rabbitmq"},
		others: []string{"github.com/twmb/franz-go/pkg/kgo", "github.com/aws/aws-sdk-go-v2"},
	},
	"store/embedded": {
		house: []string{".", "broker", "eventstore", "inbox", "outbox", "projection", "saga", "transport/embedded"},
		never: []string{"net"},
	},
	"store/internal/relational": {
		house: []string{".", "eventstore", "inbox", "outbox", "projection", "saga"},
		never: []string{"net", "database/sql"},
	},
	"store/postgres": {
		house: []string{".", "eventstore", "inbox", "outbox", "projection", "saga",
			"store/internal/relational"},
		others: []string{"github.com/jackc/pgx/v5"},
	},
	"store/sql": {house: []string{".", "eventstore", "inbox", "outbox", "projection", "saga",
		"store/internal/relational"}},
	"store/storetest": {
		house: []string{".", "eventstore", "inbox", "outbox", "projection", "saga"},
		never: []string{"net"},
	},
	"transport/aws": {
		house:  []string{"."},
		others: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go"},
	},
	"transport/embedded": {
		house: []string{".", "broker", "transport/internal/lane"},
		never: []string{"net"},
	},
	"transport/internal/lane": {never: []string{"net"}},
	"transport/kafka": {
		house:  []string{".", "transport/internal/lane"},
		others: []string{"github.com/twmb/franz-go"},
	},
	"transport/rabbitmq":      {house: []string{"."}, others: []string{"github.com/rabbitmq/amqp091-go"}},
	"transport/transporttest": {house: []string{"."}, others: []string{"go.uber.org/goleak"}},
}

// TestARoomImportsOnlyRoomsBelowIt reads the imports of every product file.
func TestARoomImportsOnlyRoomsBelowIt(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range productFiles(t) {
		room := path.Dir(filepath.ToSlash(file))
		floor, known := floors[room]
		if !known {
			t.Errorf("%s: room %q is not in the table of floors", file, room)
			continue
		}
		seen[room] = true
		for _, imp := range imports(t, file) {
			first, _, _ := strings.Cut(imp, "/")
			below, house := strings.CutPrefix(imp, module+"/")
			if imp == module {
				below, house = ".", true
			}
			switch {
			case house && !slices.Contains(floor.house, below):
				t.Errorf("%s: %s may not import %s", file, room, below)
			case !house && strings.Contains(first, ".") && !hasPrefix(floor.others, imp):
				t.Errorf("%s: %s may not import %s", file, room, imp)
			case hasPrefix(floor.never, imp):
				t.Errorf("%s: %s never imports %s", file, room, imp)
			}
		}
	}
	for room := range floors {
		if !seen[room] {
			t.Errorf("the table of floors has a room %q that is not there", room)
		}
	}
}

// TestTheFloorsRuleCanFail shows that an arrow upward would be noticed.
func TestTheFloorsRuleCanFail(t *testing.T) {
	if slices.Contains(floors["storage"].house, "broker") || hasPrefix(floors["broker"].others, "net/http") ||
		!hasPrefix(floors["broker"].never, "net/http") {
		t.Error("storage may import broker, or broker net/http: the table lets everything through")
	}
}

// productFiles lists the Go files of the product, without tests and without
// modules of their own.
func productFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "tests" || name == "bench" || d.Name() == "testdata" ||
			len(name) > 1 && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			files = append(files, name)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

func imports(t *testing.T, file string) (out []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// hasPrefix says whether a path is one of the prefixes or lies below one.
func hasPrefix(prefixes []string, imp string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return imp == p || strings.HasPrefix(imp, p+"/") })
}
