package notify

import (
	"errors"
	"net/url"
	"strings"
)

// Endpoint is where a subscription over HTTP or HTTPS gets its messages. It prints without secrets.
type Endpoint struct {
	url  url.URL // without user
	user *url.Userinfo
	all  string
}

// errEndpoint has SNS's words, behind "Invalid parameter: ".
var errEndpoint = errors.New("Endpoint must match the specified protocol")

// maxEndpoint is how many bytes one can have.
const maxEndpoint = 2048

// ParseEndpoint reads the URL of a subscription of protocol "http" or "https". The error stands behind
// "Invalid parameter: ", in SNS's words, and does not show the URL.
func ParseEndpoint(protocol, endpoint string) (e Endpoint, err error) {
	if len(endpoint) > maxEndpoint {
		return e, errors.New("Endpoint is longer than 2048 bytes")
	}
	u, err := url.Parse(endpoint)
	if err != nil || protocol != "http" && protocol != "https" || u.Scheme != protocol || u.Hostname() == "" {
		return e, errEndpoint
	}
	e = Endpoint{url: *u, user: u.User, all: endpoint}
	e.url.User, e.url.Fragment, e.url.RawFragment = nil, "", ""
	return e, nil
}

// String is the URL without credentials and query: for logs.
func (e Endpoint) String() string {
	shown := e.url
	shown.RawQuery, shown.ForceQuery = "", false
	return shown.String()
}

// Shown is the URL as answers show it: like SNS, with four stars for a password.
func (e Endpoint) Shown() string {
	_, secret := e.user.Password()
	if e.user == nil || !secret {
		return e.all
	}
	from := strings.Index(e.all, "://") + len("://")
	to := from + strings.IndexAny(e.all[from:]+"/", "/?#")
	host := e.all[from+strings.LastIndexByte(e.all[from:to], '@')+1:]
	return e.all[:from] + url.User(e.user.Username()).String() + ":****@" + host
}

// GoString keeps secrets out of %#v too.
func (e Endpoint) GoString() string { return e.String() }
