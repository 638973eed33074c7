package measure

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// startProfile records a processor profile of a server that shows one, and what was allocated,
// into files named after the load. The function it returns ends the recording.
func (o *Options) startProfile(
	ctx context.Context, server *Server, name string,
) (stop func() error, err error) {
	if o.Profile == "" || !server.profiled {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(o.Profile, 0o755); err != nil {
		return nil, err
	}
	from := "http://" + server.place.Spare[0] + "/debug/pprof/"
	path := filepath.Join(o.Profile, unsafe.ReplaceAllString(strings.ToLower(name), "-"))
	done := make(chan error, 1)
	go func() { done <- download(ctx, from+"profile?seconds=3", path+".cpu.pb.gz") }()
	return func() error {
		if err := <-done; err != nil {
			return err
		}
		for _, kind := range []string{"heap", "allocs", "mutex", "block"} {
			if err := download(ctx, from+kind, path+"."+kind+".pb.gz"); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

var unsafe = regexp.MustCompile(`[^a-z0-9]+`)

func download(ctx context.Context, url, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", resp.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
