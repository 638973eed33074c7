package measure

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what processes have used since they began. It is read from /proc, so it is all zero on
// systems that have none.
type Usage struct {
	CPU     time.Duration // user and system
	RSS     int64         // bytes now
	PeakRSS int64         // bytes, the most since the start or ResetPeak
	Written int64         // bytes sent to the disk
}

// clockTick is the unit of times in /proc/PID/stat on Linux, whatever the kernel's own.
const clockTick = 10 * time.Millisecond

// UsageOf reads what a process and all below it use together. The peak is the sum of the peaks,
// though they need not be of the same moment.
func UsageOf(pid int) Usage {
	var sum Usage
	for _, member := range family(pid) {
		u := usageOfOne(member)
		sum.CPU += u.CPU
		sum.RSS += u.RSS
		sum.PeakRSS += u.PeakRSS
		sum.Written += u.Written
	}
	return sum
}

func usageOfOne(pid int) Usage {
	var u Usage
	if f := stat(pid); len(f) > 14 {
		// Of itself, and of those of its children that have ended and were waited for.
		for _, ticks := range f[11:15] {
			u.CPU += time.Duration(number(ticks)) * clockTick
		}
	}
	status := table(fmt.Sprintf("/proc/%d/status", pid))
	u.RSS, u.PeakRSS = status["VmRSS"]<<10, status["VmHWM"]<<10
	u.Written = table(fmt.Sprintf("/proc/%d/io", pid))["write_bytes"]
	return u
}

// family is a process and all below it. A server that is a shell script with an Erlang machine
// below it, which runs programs in sessions of their own, is more than a process group.
func family(pid int) []int {
	parents := map[int]int{}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		child := int(number(filepath.Base(entry)))
		if f := stat(child); len(f) > 1 {
			parents[child] = int(number(f[1]))
		}
	}
	members := []int{pid}
	for i := 0; i < len(members); i++ {
		for child, parent := range parents {
			if parent == members[i] && !slices.Contains(members, child) {
				members = append(members, child)
			}
		}
	}
	return members
}

// stat is /proc/PID/stat from the third field on. The second is a name in parentheses, which may
// hold spaces and parentheses.
func stat(pid int) []string {
	text := readText(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Fields(text[strings.LastIndex(text, ")")+1:])
}

// ResetPeak makes PeakRSS begin again from what is used now, where the system can do that.
func ResetPeak(pid int) {
	for _, member := range family(pid) {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", member), []byte("5"), 0)
	}
}

// SelfCPU is the processor time that this process has used.
func SelfCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// table reads a file of lines "Name: number".
func table(path string) map[string]int64 {
	text, _ := os.ReadFile(path)
	rows := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			if f := strings.Fields(value); len(f) > 0 {
				rows[name] = number(f[0])
			}
		}
	}
	return rows
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // 0 where it is none
	return n
}
