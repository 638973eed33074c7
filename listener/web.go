package listener

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// Hosts are the names that a server answers to.
type Hosts struct {
	AllowRemote bool     // it may be reached from elsewhere: any address is its own
	Names       []string // beside loopback
}

// Knows says whether the Host header names this server: a loopback name always; any address if the
// server may be reached from elsewhere (a DNS name can be rebound, an address cannot); a name that
// was given. A page whose DNS name was rebound to 127.0.0.1 still sends its own name there.
func (h Hosts) Knows(hostport string) bool {
	host := HostOnly(hostport)
	return IsLoopback(host) || h.AllowRemote && net.ParseIP(host) != nil || h.Named(host)
}

// Named says whether a host is one of the names that were given.
func (h Hosts) Named(host string) bool {
	return slices.ContainsFunc(h.Names, func(name string) bool { return strings.EqualFold(host, name) })
}

// OwnOrigin says whether the browser that sends a request, if it is one, does so for a page of this
// server. Origin, if sent, must be this server: browsers send it with every request that may change
// something and with every cross-origin fetch. Sec-Fetch-Site must not say cross-site or same-site
// (another port of localhost is same-site); following a link here is allowed.
func OwnOrigin(r *http.Request) bool {
	if origins := r.Header.Values("Origin"); len(origins) > 1 ||
		len(origins) == 1 && !strings.EqualFold(origins[0], "http://"+r.Host) {
		return false
	}
	if OwnSite(r) {
		return true
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	return reads && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

// OwnSite says whether the browser, if it is one, calls a request one of this server's own pages,
// or of nobody's.
func OwnSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return false
}
