package aws

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
)

// redrive is what a RedrivePolicy says.
type redrive struct {
	target   string // ARN
	receives int64
}

// maxReceives is the greatest maxReceiveCount.
const maxReceives = 1000

// parseRedrive reads a RedrivePolicy; the count may be a number or a string, as clients send either.
func parseRedrive(text string) (r redrive, err error) {
	var doc struct {
		Target   string `json:"deadLetterTargetArn"`
		Receives any    `json:"maxReceiveCount"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return r, err
	}
	switch n := doc.Receives.(type) {
	case float64:
		r.receives = int64(n)
		if float64(r.receives) != n {
			return r, errors.New("maxReceiveCount is not whole")
		}
	case string:
		if r.receives, err = strconv.ParseInt(n, 10, 64); err != nil {
			return r, err
		}
	default:
		return r, errors.New("maxReceiveCount is missing")
	}
	if doc.Target == "" || r.receives < 1 || r.receives > maxReceives {
		return r, errors.New("deadLetterTargetArn is missing, or maxReceiveCount not of 1 to 1000")
	}
	r.target = doc.Target
	return r, nil
}

// checkRedrive wants a queue for the dead letters that is there, and takes them.
func checkRedrive(s *Server, queue, value string) error {
	r, err := parseRedrive(value)
	if err != nil {
		return wrong(short(value), attrRedrive, "Amazon SQS can't create the redrive policy, as it's in "+
			"an unsupported format.")
	}
	name := s.nameInARN(r.target)
	to, missing := s.queueNamed(name)
	if name == "" || missing != nil {
		return wrong(short(value), attrRedrive, "Dead letter target does not exist.")
	}
	d := declaredOf(to)
	if allow, err := parseAllow(d.attribute(attrAllow)); err == nil && !allow.admits(s.arn(queue)) {
		return wrong(short(value), attrRedrive, "Dead letter target does not allow this source queue.")
	}
	return nil
}

// redriveAllow is what a RedriveAllowPolicy says.
type redriveAllow struct {
	Permission string   `json:"redrivePermission"`
	Sources    []string `json:"sourceQueueArns"`
}

func parseAllow(text string) (a redriveAllow, err error) {
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return a, err
	}
	switch a.Permission {
	case "allowAll", "denyAll":
		if len(a.Sources) > 0 {
			return a, errors.New("sourceQueueArns go with byQueue")
		}
	case "byQueue":
		if n := len(a.Sources); n == 0 || n > 10 {
			return a, errors.New("sourceQueueArns are 1 to 10")
		}
	default:
		return a, errors.New("redrivePermission is allowAll, denyAll or byQueue")
	}
	return a, nil
}

func (a *redriveAllow) admits(source string) bool {
	return a.Permission == "allowAll" || a.Permission == "byQueue" && slices.Contains(a.Sources, source)
}

func checkAllow(_ *Server, _, value string) error {
	if _, err := parseAllow(value); err != nil {
		return wrongAttribute(attrAllow)
	}
	return nil
}
