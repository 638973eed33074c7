package aws

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
)

// queueName is a name of a standard queue.
var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// arn names a queue to other queues and to policies.
func (s *Server) arn(name string) string {
	return "arn:aws:sqs:" + s.config.Region + ":" + s.config.Account + ":" + name
}

// nameInARN is the queue that an ARN names; "" where it is of another account or service.
func (s *Server) nameInARN(arn string) string {
	name, ok := strings.CutPrefix(arn, s.arn(""))
	if !ok || !isName(name) {
		return ""
	}
	return name
}

// isARN says whether a text has the six parts of an ARN.
func isARN(text string) bool {
	parts := strings.SplitN(text, ":", 6)
	return len(parts) == 6 && parts[0] == "arn" && !slices.Contains(parts, "")
}

// queueURL is where the client that asks finds a queue: under the host that it used itself.
func (s *Server) queueURL(c *call, name string) string {
	return "http://" + c.host + "/" + s.config.Account + "/" + name
}

// queue finds the queue that a request is about: by the path of a queue URL only. Its host is whatever
// name the server had for whoever asked for the URL. The name alone does too, as it does for SQS.
func (s *Server) queue(c *call, queueURL string) (*broker.Queue, error) {
	path := c.path
	switch {
	case isName(queueURL):
		return s.queueNamed(queueURL)
	case queueURL != "":
		u, err := url.Parse(queueURL)
		if err != nil {
			return nil, badAddress(queueURL)
		}
		path = u.Path
	}
	account, name, ok := strings.Cut(strings.Trim(path, "/"), "/")
	switch {
	case queueURL == "" && account == "":
		return nil, missing("QueueUrl")
	case !ok || strings.Contains(name, "/"):
		return nil, badAddress(queueURL)
	case account != s.config.Account:
		return nil, noQueue()
	}
	return s.queueNamed(name)
}

// queueNamed finds a queue that is one of SQS.
func (s *Server) queueNamed(name string) (*broker.Queue, error) {
	q, err := s.b.Queue("", name)
	if err != nil || !isOurs(q) {
		return nil, noQueue()
	}
	return q, nil
}

func badAddress(address string) *Error {
	return errorf(invalidAddress, "The address %s is not valid for this endpoint.", short(address))
}
