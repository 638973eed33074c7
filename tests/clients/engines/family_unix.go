//go:build unix

package engines

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// leadGroup lets the process of a command lead a group.
func leadGroup(cmd *exec.Cmd) { attributes(cmd).Setpgid = true }

// runAs lets a command run as another user.
func runAs(cmd *exec.Cmd, u *user.User) {
	if uid, gid, err := ids(u); err == nil {
		attributes(cmd).Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
}

func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}

// killFamily kills a process, its group, and what it started into other groups, as PostgreSQL and
// Erlang do. It is stopped first, so that it starts no more meanwhile.
func killFamily(leader int) {
	_ = syscall.Kill(leader, syscall.SIGSTOP)
	family := descendants(leader)
	_ = syscall.Kill(-leader, syscall.SIGKILL)
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// descendants are the processes below one. It finds none on systems without Linux's /proc.
func descendants(pid int) (all []int) {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if child, parent, ok := readStat(path); ok {
			children[parent] = append(children[parent], child)
		}
	}
	for next := children[pid]; len(next) > 0; {
		pid, next = next[0], next[1:]
		all = append(all, pid)
		next = append(next, children[pid]...)
	}
	return all
}

// readStat reads "pid (name) state parent ...", where the name may have any characters.
func readStat(path string) (pid, parent int, ok bool) {
	text, err := os.ReadFile(path)
	end := bytes.LastIndexByte(text, ')')
	if err != nil || end < 0 {
		return 0, 0, false
	}
	var state string
	if _, err := fmt.Sscan(string(text[end+1:]), &state, &parent); err != nil {
		return 0, 0, false
	}
	pid, err = strconv.Atoi(filepath.Base(filepath.Dir(path)))
	return pid, parent, err == nil
}
