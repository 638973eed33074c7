package kafka

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden and docs/wire/kafka.md")

// The first two requests of every connection, byte by byte: a codec that misreads what it has
// itself miswritten cannot see a mistake there.
func TestGoldenFrames(t *testing.T) {
	r := serve(t)
	topic := r.topic("orders", 1)
	c := r.dial()
	var got strings.Builder
	for _, q := range []kmsg.Request{
		versioned(0, kmsg.NewPtrApiVersionsRequest()),
		versioned(3, &kmsg.ApiVersionsRequest{ClientSoftwareName: "x", ClientSoftwareVersion: "1"}),
		versioned(0, kmsg.NewPtrMetadataRequest()),
		versioned(4, kmsg.NewPtrMetadataRequest()),
		versioned(13, kmsg.NewPtrMetadataRequest()),
	} {
		fmt.Fprintf(&got, "%s version %d\n", kmsg.NameForKey(q.Key()), q.GetVersion())
		request := encode(q, 7)
		c.write(request)
		_, body := c.receive()
		// What differs from run to run stands as zeros.
		id := topic.ID()
		body = bytes.ReplaceAll(body, id[:], make([]byte, len(id)))
		body = bytes.ReplaceAll(body, []byte(r.server.clusterID()), make([]byte, 22))
		_, port := hostPort(t, c)
		body = bytes.ReplaceAll(body, []byte{0, 0, byte(port >> 8), byte(port)}, make([]byte, 4))
		fmt.Fprintf(&got, "> %s\n< %s\n", hex.EncodeToString(request), hex.EncodeToString(body))
	}
	compareGolden(t, filepath.Join("testdata", "frames.golden"), got.String())
}

// compareGolden compares text with a file, or rewrites the file with -update.
func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("%s: got\n%s\nwant\n%s\n(go test ./wire/kafka -update, if it is meant)",
			file, got, want)
	}
}
