package aws

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tidings-io/tidings/broker"
)

// The names of attributes that are used here.
const (
	attrVisibility = "VisibilityTimeout"
	attrSize       = "MaximumMessageSize"
	attrRetention  = "MessageRetentionPeriod"
	attrDelay      = "DelaySeconds"
	attrWait       = "ReceiveMessageWaitTimeSeconds"
	attrPolicy     = "Policy"
	attrRedrive    = "RedrivePolicy"
	attrAllow      = "RedriveAllowPolicy"
	attrARN        = "QueueArn"
	attrCreated    = "CreatedTimestamp"
	attrModified   = "LastModifiedTimestamp"
	attrReady      = "ApproximateNumberOfMessages"
	attrLeased     = "ApproximateNumberOfMessagesNotVisible"
	attrDelayed    = "ApproximateNumberOfMessagesDelayed"
	attrKey        = "KmsMasterKeyId"
	attrKeyReuse   = "KmsDataKeyReusePeriodSeconds"
	attrManaged    = "SqsManagedSseEnabled"

	all = "All"
)

// maxAttribute is how many bytes a value can have; only filter policies have more.
const maxAttribute = 30 << 10

// attribute is one of a queue.
type attribute struct {
	def      string // where it is not set; "": then it is left out
	min, max int    // of a number; both 0: it is something else
	check    func(s *Server, queue, value string) error
	values   []string // that it can have; nil: it is something else
	refused  string   // what is said of it for a standard queue, which does not have it
	readOnly bool
	clears   bool // "" takes it away
}

// attributes is every attribute of a queue, but All.
var attributes map[string]attribute

func init() { // checks read the table
	attributes = map[string]attribute{
		attrVisibility: {def: "30", min: 0, max: 43200},
		attrSize:       {def: "1048576", min: 1024, max: maxMessage},
		attrRetention:  {def: "345600", min: 60, max: 1209600},
		attrDelay:      {def: "0", min: 0, max: 900},
		attrWait:       {def: "0", min: 0, max: 20},
		attrKeyReuse:   {min: 60, max: 86400},
		attrKey:        {clears: true},
		attrManaged:    {def: "false", values: booleans},
		attrPolicy:     {check: checkPolicy, clears: true},
		attrRedrive:    {check: checkRedrive, clears: true},
		attrAllow:      {check: checkAllow, clears: true},

		attrFIFO:    {check: checkFIFO, values: booleans, refused: "Unknown Attribute %s."},
		attrContent: {def: "false", values: booleans, refused: "Unknown Attribute %s."},
		attrScope:   {def: "queue", values: []string{"queue", inGroup}, refused: onlyFIFO},
		attrLimit:   {def: "perQueue", values: []string{"perQueue", perGroup}, refused: onlyFIFO},

		attrARN: {readOnly: true}, attrCreated: {readOnly: true}, attrModified: {readOnly: true},
		attrReady: {readOnly: true}, attrLeased: {readOnly: true}, attrDelayed: {readOnly: true},
	}
}

var booleans = []string{"true", "false"}

const tooLongAttribute = "Must be at most 30720 bytes."

const onlyFIFO = "You can specify the %s only when FifoQueue is set to true."

func unknownAttribute(name string) *Error {
	return errorf(invalidAttribute, "Unknown Attribute %s.", short(name))
}

func wrongAttribute(name string) *Error {
	return errorf(invalidValue, "Invalid value for the parameter %s.", name)
}

func wrongBecause(name, reason string) *Error {
	return errorf(invalidValue, "Invalid value for the parameter %s. Reason: %s", name, reason)
}

// checkAttributes checks what is to be set of a queue, and returns it in canonical form: those with no value
// are to be taken away.
func (s *Server) checkAttributes(queue string, set map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		a, known := attributes[name]
		value := set[name]
		switch {
		case !known || a.readOnly:
			return nil, unknownAttribute(name)
		case a.refused != "" && !isFIFO(queue):
			return nil, errorf(invalidAttribute, a.refused, name)
		case value == "" && a.clears:
			continue
		case len(value) > maxAttribute:
			return nil, wrongBecause(name, tooLongAttribute)
		}
		if err := a.refuse(s, queue, name, value); err != nil {
			return nil, err
		}
		out[name] = canonical(name, value)
	}
	if out[attrKey] != "" && out[attrManaged] == "true" {
		return nil, errorf(invalidAttribute, "You can use one type of server-side encryption (SSE) at one time. "+
			"You can either enable KMS SSE or SQS SSE.")
	}
	return out, nil
}

func (a *attribute) refuse(s *Server, queue, name, value string) error {
	if a.max > 0 {
		if n, err := strconv.Atoi(value); err != nil || n < a.min || n > a.max {
			return wrongAttribute(name)
		}
	}
	if a.values != nil && !slices.Contains(a.values, canonical(name, value)) {
		return wrongAttribute(name)
	}
	if a.check != nil {
		return a.check(s, queue, value)
	}
	return nil
}

// canonical is a value in the form in which it is kept and compared.
func canonical(name, value string) string {
	a := attributes[name]
	if n, err := strconv.Atoi(value); err == nil && a.max > 0 {
		return strconv.Itoa(n)
	}
	if lower := strings.ToLower(value); slices.Contains(booleans, lower) && a.values != nil {
		return lower
	}
	switch name {
	case attrRedrive:
		return canonicalRedrive(value)
	case attrPolicy, attrAllow:
		return canonicalDocument(value)
	}
	return value
}

func canonicalDocument(value string) string {
	var doc any
	if json.Unmarshal([]byte(value), &doc) == nil {
		if b, err := encodeJSON(doc); err == nil {
			return string(b)
		}
	}
	return value
}

func checkPolicy(_ *Server, _, value string) error {
	if _, err := parsePolicy(value); err != nil {
		return wrongAttribute(attrPolicy)
	}
	return nil
}

type setQueueAttributesInput struct {
	QueueUrl   string
	Attributes map[string]string `query:"Attribute"`
}

// setQueueAttributes sets those that are given; "" takes a policy away.
func (s *Server) setQueueAttributes(c *call, in *setQueueAttributesInput) (*nothing, error) {
	if len(in.Attributes) == 0 {
		return nil, missing("Attributes")
	}
	return &nothing{}, s.change(c, in.QueueUrl, func(q *broker.Queue, d *declared) error {
		set, err := s.checkAttributes(q.Name().Name, in.Attributes)
		if err != nil {
			return err
		}
		for name := range in.Attributes {
			delete(d.attributes, name)
		}
		maps.Copy(d.attributes, set)
		d.modified = s.config.Now().Unix()
		return d.checkThroughput()
	})
}

type getQueueAttributesInput struct {
	QueueUrl       string
	AttributeNames []string `query:"AttributeName"`
}

type getQueueAttributesOutput struct {
	Attributes map[string]string `json:"Attributes,omitempty" query:"Attribute"`
}

func (s *Server) getQueueAttributes(c *call, in *getQueueAttributesInput) (*getQueueAttributesOutput, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	every := s.attributesOf(q)
	out := map[string]string{}
	for _, name := range in.AttributeNames {
		if _, known := attributes[name]; !known && name != all {
			return nil, unknownAttribute(name)
		}
		if name == all {
			return &getQueueAttributesOutput{every}, nil
		}
		if v, ok := every[name]; ok {
			out[name] = v
		}
	}
	return &getQueueAttributesOutput{out}, nil
}

// attributesOf returns every attribute that a queue has.
func (s *Server) attributesOf(q *broker.Queue) map[string]string {
	d, stats := declaredOf(q), q.Stats()
	out := map[string]string{
		attrARN:      s.arn(q.Name().Name),
		attrCreated:  strconv.FormatInt(d.created, 10),
		attrModified: strconv.FormatInt(d.modified, 10),
		attrReady:    strconv.FormatInt(stats.Ready, 10),
		attrLeased:   strconv.FormatInt(stats.Leased, 10),
		attrDelayed:  strconv.FormatInt(stats.Delayed, 10),
	}
	for name := range attributes {
		if v := d.attribute(name); v != "" {
			out[name] = v
		}
	}
	if out[attrKey] == "" {
		delete(out, attrKeyReuse)
	}
	return out
}
