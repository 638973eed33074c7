package measure

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Machine says where something was measured.
type Machine struct {
	Date       string `json:"date"`
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	MemoryMiB  int64  `json:"memory_mib"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"` // of the data directories
	Go         string `json:"go"`
	SyncP50    string `json:"sync_p50"` // of a write of 4 KiB with fdatasync
	SyncP99    string `json:"sync_p99"`
}

// ThisMachine describes the machine and the disk below dir. It writes there for a moment.
func ThisMachine(dir string) Machine {
	m := Machine{
		Date: time.Now().UTC().Format(time.DateOnly), Cores: runtime.NumCPU(),
		MemoryMiB: table("/proc/meminfo")["MemTotal"] >> 10,
		Kernel:    firstLine("/proc/sys/kernel/osrelease"), Go: runtime.Version(),
		CPU: runtime.GOARCH, FileSystem: fileSystem(dir),
	}
	for line := range strings.Lines(readText("/proc/cpuinfo")) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
		}
	}
	times := syncTimes(dir)
	m.SyncP50, m.SyncP99 = Show(Percentile(times, 50)), Show(Percentile(times, 99))
	return m
}

// Show prints a duration with as many digits as it deserves.
func Show(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

func readText(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

func firstLine(path string) string {
	line, _, _ := strings.Cut(readText(path), "\n")
	return line
}

// fileSystem is the type of what dir lies on: that of the longest mount point above it.
func fileSystem(dir string) string {
	dir, _ = filepath.Abs(dir)
	point, kind := "", "unknown"
	for line := range strings.Lines(readText("/proc/mounts")) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < len(point) {
			continue
		}
		if f[1] == "/" || dir == f[1] || strings.HasPrefix(dir, f[1]+"/") {
			point, kind = f[1], f[2]
		}
	}
	return kind
}

// syncTimes measures how long the disk takes to make 4 KiB durable, by overwriting.
func syncTimes(dir string) []time.Duration {
	f, err := os.CreateTemp(dir, "tidings-bench-sync-")
	if err != nil {
		return nil
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	var times []time.Duration
	for i := range 300 {
		start := time.Now()
		if _, err := f.WriteAt(block, int64(i%64)*4096); err != nil || f.Sync() != nil {
			return nil
		}
		times = append(times, time.Since(start))
	}
	return times[64:] // the first ones made the file longer
}

// Build compiles a package of the module that lies in dir into the directory out, and returns
// the program's path.
func Build(ctx context.Context, dir, pkg, out string) (string, error) {
	path := filepath.Join(out, "bench-"+filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, pkg)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	return path, nil
}

// ModuleDir is the directory of this module or of one that it requires.
func ModuleDir(ctx context.Context, module string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find module %s (run this below bench): %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}
