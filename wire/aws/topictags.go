package aws

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// tag is one of a topic.
type tag struct {
	Key   string
	Value string
}

// addTags sets tags, or says what is wrong with them.
func (d *declaredTopic) addTags(tags []tag) error {
	given := map[string]bool{}
	for _, x := range tags {
		n := utf8.RuneCountInString(x.Key)
		switch {
		case n == 0 || n > maxTagKey || utf8.RuneCountInString(x.Value) > maxTagValue ||
			strings.HasPrefix(strings.ToLower(x.Key), "aws:"):
			return badParameter("Tags Reason: keys have 1 to 128 characters and do not begin with aws:, " +
				"values have 256 at most")
		case given[x.Key]:
			return badParameter("Duplicated keys are not allowed.")
		}
		given[x.Key] = true
		d.tags[x.Key] = x.Value
	}
	if len(d.tags) > maxTags {
		return errorf(snsTagLimit, "Could not complete request: tag quota of per resource exceeded")
	}
	return nil
}

// taggable turns the error for a topic that is not there into that of a resource.
func taggable(err error) error {
	if err != nil && asError(err).Code == snsNotFound {
		return &Error{snsNoResource, "Resource does not exist"}
	}
	return err
}

type tagResourceInput struct {
	ResourceArn string
	Tags        []tag `query:"Tags.member"`
}

func (s *Server) tagResource(c *call, in *tagResourceInput) (*emptyResult, error) {
	if len(in.Tags) == 0 {
		return nil, absent("Tags")
	}
	return &emptyResult{}, taggable(s.topics.change(c, in.ResourceArn, func(_ *topic, d *declaredTopic) error {
		return d.addTags(in.Tags)
	}))
}

type untagResourceInput struct {
	ResourceArn string
	TagKeys     []string `query:"TagKeys.member"`
}

func (s *Server) untagResource(c *call, in *untagResourceInput) (*emptyResult, error) {
	return &emptyResult{}, taggable(s.topics.change(c, in.ResourceArn, func(_ *topic, d *declaredTopic) error {
		for _, key := range in.TagKeys {
			delete(d.tags, key)
		}
		return nil
	}))
}

type listTagsOutput struct {
	Tags []tag `query:"Tags.member"`
}

func (s *Server) listTagsForResource(_ *call, in *untagResourceInput) (*listTagsOutput, error) {
	p, err := s.topics.topic("ResourceArn", in.ResourceArn)
	if err != nil {
		return nil, taggable(err)
	}
	d := p.declared()
	out := &listTagsOutput{}
	for _, key := range slices.Sorted(maps.Keys(d.tags)) {
		out.Tags = append(out.Tags, tag{key, d.tags[key]})
	}
	return out, nil
}
