package aws

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
)

type createQueueInput struct {
	QueueName  string
	Attributes map[string]string `query:"Attribute"`
	Tags       map[string]string `json:"tags" query:"Tag,Key"`
}

type queueURLOutput struct {
	QueueUrl string
}

// createQueue makes a queue. One that is there is the answer if every attribute that is given has the value
// that it has there; those that are not given are not compared.
func (s *Server) createQueue(c *call, in *createQueueInput) (*queueURLOutput, error) {
	if err := checkNewName(in.QueueName, in.Attributes); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	set, err := s.checkAttributes(in.QueueName, in.Attributes)
	if err != nil {
		return nil, err
	}
	now := s.config.Now().Unix()
	said := declared{created: now, modified: now, attributes: set, tags: in.Tags}
	if err := said.checkThroughput(); err != nil {
		return nil, err
	}
	q, created, err := s.b.DeclareQueue(c.ctx, broker.QueueSpec{Name: in.QueueName, Durable: true,
		Args: said.args(), Settings: settingsOf(set)})
	if err != nil {
		return nil, err
	}
	if !created {
		if err := same(q, in); err != nil {
			return nil, err
		}
	}
	return &queueURLOutput{s.queueURL(c, in.QueueName)}, nil
}

// checkNewName checks the name of a queue to make, and that its type agrees with it.
func checkNewName(name string, attributes map[string]string) error {
	fifo := canonical(attrFIFO, attributes[attrFIFO]) == "true"
	switch {
	case name == "":
		return missing("QueueName")
	case fifo && !(isFIFO(name) && isName(name)):
		return errorf(invalidParameter, "The name of a FIFO queue can only include alphanumeric characters, "+
			"hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.")
	case !fifo && !queueName.MatchString(name):
		return errorf(invalidParameter, "Can only include alphanumeric characters, hyphens, or underscores. "+
			"1 to 80 in length")
	}
	return nil
}

// same says which attribute of a queue that is there is not what was asked for.
func same(q *broker.Queue, in *createQueueInput) error {
	if !isOurs(q) {
		return errorf(queueNameExists, "A queue already exists with the same name, which is not one of SQS.")
	}
	have := declaredOf(q)
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		if have.attribute(name) != canonical(name, in.Attributes[name]) {
			return errorf(queueNameExists,
				"A queue already exists with the same name and a different value for attribute %s", name)
		}
	}
	return nil
}

type getQueueURLInput struct {
	QueueName              string
	QueueOwnerAWSAccountId string
}

func (s *Server) getQueueURL(c *call, in *getQueueURLInput) (*queueURLOutput, error) {
	if in.QueueName == "" {
		return nil, missing("QueueName")
	}
	if in.QueueOwnerAWSAccountId != "" && in.QueueOwnerAWSAccountId != s.config.Account {
		return nil, noQueue()
	}
	if _, err := s.queueNamed(in.QueueName); err != nil {
		return nil, err
	}
	return &queueURLOutput{s.queueURL(c, in.QueueName)}, nil
}

type listQueuesInput struct {
	QueueNamePrefix string
	NextToken       string
	MaxResults      *int32
}

type listQueuesOutput struct {
	QueueUrls []string `json:"QueueUrls,omitempty" query:"QueueUrl"`
	NextToken string   `json:"NextToken,omitempty"`
}

func (s *Server) listQueues(c *call, in *listQueuesInput) (*listQueuesOutput, error) {
	names, next, err := s.page(in.NextToken, in.MaxResults, func(q *broker.Queue) bool {
		return strings.HasPrefix(q.Name().Name, in.QueueNamePrefix)
	})
	if err != nil {
		return nil, err
	}
	return &listQueuesOutput{s.queueURLs(c, names), next}, nil
}

func (s *Server) queueURLs(c *call, names []string) []string {
	for i := range names {
		names[i] = s.queueURL(c, names[i])
	}
	return names
}

// maxListed is how many queues one answer lists.
const maxListed = 1000

// page lists queues by name, after the one that a token names. A token for more is given only to who asked
// for pages.
func (s *Server) page(token string, most *int32, wanted func(*broker.Queue) bool) (
	names []string, next string, err error) {
	limit := maxListed
	if most != nil {
		if limit = int(*most); limit < 1 || limit > maxListed {
			return nil, "", wrong(limit, "MaxResults", "MaxResults must be an integer between 1 and 1000.")
		}
	}
	after, bad := base64.RawURLEncoding.DecodeString(token)
	if bad != nil {
		return nil, "", errorf(invalidParameter, "Invalid or expired next token.")
	}
	for _, q := range s.b.Queues("") {
		name := q.Name().Name
		if name <= string(after) || !isOurs(q) || !wanted(q) {
			continue
		}
		if len(names) == limit {
			if most != nil {
				next = base64.RawURLEncoding.EncodeToString([]byte(names[limit-1]))
			}
			break
		}
		names = append(names, name)
	}
	return names, next, nil
}

type queueInput struct {
	QueueUrl string
}

func (s *Server) deleteQueue(c *call, in *queueInput) (*nothing, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return &nothing{}, s.dropQueue(c.ctx, q)
}

// dropQueue deletes a queue with its move tasks.
func (s *Server) dropQueue(ctx context.Context, q *broker.Queue) error {
	if _, err := s.b.DeleteQueue(ctx, q, broker.DeleteOptions{}); err != nil {
		return err
	}
	return s.mover.forget(ctx, q)
}

func (s *Server) purgeQueue(c *call, in *queueInput) (*nothing, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	_, err = q.PurgeAll(c.ctx, nil)
	return &nothing{}, err
}

type listSourcesInput struct {
	QueueUrl   string
	NextToken  string
	MaxResults *int32
}

type listSourcesOutput struct {
	// QueueUrls is always there: SDKs take it for required.
	QueueUrls []string `json:"queueUrls" query:"QueueUrl"`
	NextToken string   `json:"NextToken,omitempty"`
}

// listDeadLetterSourceQueues lists the queues that send their dead letters to one.
func (s *Server) listDeadLetterSourceQueues(c *call, in *listSourcesInput) (*listSourcesOutput, error) {
	to, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	names, next, err := s.page(in.NextToken, in.MaxResults, func(q *broker.Queue) bool {
		return sendsDeadLettersTo(q, to)
	})
	if err != nil {
		return nil, err
	}
	return &listSourcesOutput{append([]string{}, s.queueURLs(c, names)...), next}, nil
}

// sendsDeadLettersTo says whether a RedrivePolicy of q names a queue.
func sendsDeadLettersTo(q, to *broker.Queue) bool {
	key := q.Spec().Settings.DeadLetterKey
	return key != nil && *key == to.Name().Name
}
