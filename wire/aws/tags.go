package aws

import (
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/tidings-io/tidings/broker"
)

// What AWS bounds of tags.
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return errorf(invalidParameter, "Too many tags added for queue. Maximum is %d.", maxTags)
	}
	for key, value := range tags {
		switch n := utf8.RuneCountInString(key); {
		case n == 0 || n > maxTagKey || strings.HasPrefix(strings.ToLower(key), "aws:"):
			return errorf(invalidParameter, "Tag keys must be between 1 and 128 characters in length, "+
				"and must not start with aws:.")
		case utf8.RuneCountInString(value) > maxTagValue:
			return errorf(invalidParameter, "Tag values must be between 0 and 256 characters in length.")
		}
	}
	return nil
}

type tagQueueInput struct {
	QueueUrl string
	Tags     map[string]string `query:"Tag,Key"`
}

func (s *Server) tagQueue(c *call, in *tagQueueInput) (*nothing, error) {
	if len(in.Tags) == 0 {
		return nil, missing("Tags")
	}
	return &nothing{}, s.change(c, in.QueueUrl, func(_ *broker.Queue, d *declared) error {
		maps.Copy(d.tags, in.Tags)
		return checkTags(d.tags)
	})
}

type untagQueueInput struct {
	QueueUrl string
	TagKeys  []string `query:"TagKey"`
}

func (s *Server) untagQueue(c *call, in *untagQueueInput) (*nothing, error) {
	if len(in.TagKeys) == 0 {
		return nil, missing("TagKeys")
	}
	return &nothing{}, s.change(c, in.QueueUrl, func(_ *broker.Queue, d *declared) error {
		for _, key := range in.TagKeys {
			delete(d.tags, key)
		}
		return nil
	})
}

type listQueueTagsOutput struct {
	Tags map[string]string `json:"Tags,omitempty" query:"Tag,Key"`
}

func (s *Server) listQueueTags(c *call, in *queueInput) (*listQueueTagsOutput, error) {
	q, err := s.queue(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	d := declaredOf(q)
	return &listQueueTagsOutput{d.tags}, nil
}
