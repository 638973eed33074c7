package main

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

	"github.com/tidings-io/tidings/bench/internal/measure"
)

// profiles is where the embedded server shows its profiles.
const profiles = "127.0.0.1:6060"

// startProfile records a processor profile of ours, and what was allocated, into a file named
// after the load. The function it returns ends the recording.
func (o *options) startProfile(
	ctx context.Context, server *measure.Server, name string,
) (stop func() error, err error) {
	if o.profile == "" || server.Name != ours || o.server != "embedded" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(o.profile, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(o.profile, unsafe.ReplaceAllString(strings.ToLower(name), "-"))
	done := make(chan error, 1)
	go func() { done <- download(ctx, "profile?seconds=3", path+".cpu.pb.gz") }()
	return func() error {
		if err := <-done; err != nil {
			return err
		}
		for _, kind := range []string{"heap", "allocs", "mutex", "block"} {
			if err := download(ctx, kind, path+"."+kind+".pb.gz"); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

var unsafe = regexp.MustCompile(`[^a-z0-9]+`)

func download(ctx context.Context, what, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+profiles+"/debug/pprof/"+what, nil)
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
