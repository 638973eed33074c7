package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portHolder finds the process that listens on a TCP port, by way of the
// socket's inode: /proc/net/tcp names it, and the holder's /proc/PID/fd has it
// open. Processes of other users stay unknown.
func portHolder(port int) holder {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeningInodes(table, port, inodes)
	}
	if len(inodes) == 0 {
		return holder{}
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // what cannot be read is not ours to name
	for _, fd := range fds {
		link, err := os.Readlink(fd)
		if err != nil || !inodes[link] {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
		name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		if err != nil {
			continue // it ended meanwhile
		}
		return holder{pid: pid, name: strings.TrimSpace(string(name))}
	}
	return holder{}
}

// listeningInodes adds, as links in /proc/PID/fd show them, the sockets that
// listen on port. The columns are those of proc(5): local address, remote
// address, state (0A is listening), ..., inode.
func listeningInodes(table string, port int, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	suffix := ":" + strings.ToUpper(strconv.FormatInt(int64(port)+0x10000, 16)[1:])
	for lines := bufio.NewScanner(f); lines.Scan(); {
		cols := strings.Fields(lines.Text())
		if len(cols) > 9 && strings.HasSuffix(cols[1], suffix) && cols[3] == listening {
			inodes["socket:["+cols[9]+"]"] = true
		}
	}
}
