package listener

import (
	"fmt"
	"net"
	"strings"
)

// Open binds an address; localhost is both of its addresses, where there are two.
func Open(addr string) ([]net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	network := "tcp"
	if host == "localhost" {
		network = "tcp4"
	}
	first, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	all := []net.Listener{first}
	if port := first.Addr().(*net.TCPAddr).Port; host == "localhost" {
		if six, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port)); err == nil {
			all = append(all, six)
		}
	}
	return all, nil
}

// IsLoopback says whether a host, a name or an address, can only be this machine.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Check refuses an address that other machines can reach, unless that is meant.
func Check(addr string, allowRemote bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: %w", addr, err)
	}
	if allowRemote || IsLoopback(host) {
		return nil
	}
	return fmt.Errorf("other machines can reach %s: that must be allowed explicitly", addr)
}

// HostOnly is the host of a Host header, without its port.
func HostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}
