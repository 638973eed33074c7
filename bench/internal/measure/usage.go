package measure

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what a process has used since it began. It is read from /proc, so it is all zero on
// systems that have none.
type Usage struct {
	CPU     time.Duration // user and system
	RSS     int64         // bytes now
	PeakRSS int64         // bytes, the most since the start or ResetPeak
	Written int64         // bytes sent to the disk
}

// clockTick is the unit of times in /proc/PID/stat on Linux, whatever the kernel's own.
const clockTick = 10 * time.Millisecond

// UsageOf reads what a process uses.
func UsageOf(pid int) Usage {
	var u Usage
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The name, in parentheses, may hold spaces: fields are counted from behind it.
	if _, rest, ok := strings.Cut(string(stat), ") "); ok {
		if f := strings.Fields(rest); len(f) > 12 {
			u.CPU = time.Duration(number(f[11])+number(f[12])) * clockTick
		}
	}
	status := table(fmt.Sprintf("/proc/%d/status", pid))
	u.RSS, u.PeakRSS = status["VmRSS"]<<10, status["VmHWM"]<<10
	u.Written = table(fmt.Sprintf("/proc/%d/io", pid))["write_bytes"]
	return u
}

// ResetPeak makes PeakRSS begin again from what is used now.
func ResetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
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
