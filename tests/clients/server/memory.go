package server

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what the process occupies, in bytes. Peak is since its start.
// Both are 0 where the system does not tell (other than Linux).
type Memory struct{ Resident, Peak int64 }

// Memory reads the memory of the process.
func (s *Server) Memory() Memory {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		return Memory{}
	}
	return Memory{
		Resident: kilobytes(string(status), "VmRSS:"),
		Peak:     kilobytes(string(status), "VmHWM:"),
	}
}

// kilobytes finds a line such as "VmRSS:   12345 kB" and returns bytes.
func kilobytes(status, name string) int64 {
	for line := range strings.Lines(status) {
		word := strings.Fields(line)
		if len(word) == 3 && word[0] == name {
			n, _ := strconv.ParseInt(word[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
