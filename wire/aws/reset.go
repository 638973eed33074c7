package aws

import (
	"context"
	"net/http"

	"github.com/tidings-io/tidings/broker"
)

// resetPath is where test suites ask for an empty server, if Config.Reset lets them.
const resetPath = "/_tidings/reset"

// serveReset answers for resetPath. Requests of web pages do not come so far.
func (s *Server) serveReset(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	switch {
	case !s.config.Reset:
		http.Error(w, "there is no reset: start the server with --aws-reset, or aws.reset: true", http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "a reset is a POST", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	status, answer := http.StatusOK, []byte("{}\n")
	if err := s.resetFor(w, r); err != nil {
		e := asError(err)
		a := ask{service: services[0]}
		status, answer = e.identity().status, jsonCodec{}.refuse(w.Header(), &a, id, e)
	}
	_ = s.write(w, status, answer) // a client that has gone hears nothing
}

func (s *Server) resetFor(w http.ResponseWriter, r *http.Request) error {
	body, free, err := s.bodies.Take(w, r)
	defer free()
	if err != nil {
		return bodyError(err)
	}
	if err := s.checkSignature(r, body); err != nil {
		return err
	}
	return s.deleteAll(r.Context())
}

// deleteWithArchive deletes a topic also where it keeps its messages, which DeleteTopic refuses.
func (s *Server) deleteWithArchive(c *call, p *topic) error {
	arn := s.topics.topicARN(p.name())
	if d := p.declared(); d.keeps() > 0 {
		_, err := s.setTopicAttributes(c, &setTopicAttributesInput{TopicArn: arn, AttributeName: attrArchive})
		if err != nil && asError(err).Code != snsNotFound {
			return err
		}
	}
	_, err := s.deleteTopic(c, &topicInput{TopicArn: arn})
	return err
}

// deleteAll deletes the topics of SNS, with their subscriptions, and then the queues of SQS: in this order
// nothing is published to a queue that is gone.
func (s *Server) deleteAll(ctx context.Context) error {
	c := &call{ctx: ctx, inside: true}
	for _, p := range s.topics.all() {
		if err := s.deleteWithArchive(c, p); err != nil {
			return err
		}
	}
	for _, q := range s.b.Queues("") {
		if !isOurs(q) {
			continue
		}
		err := s.dropQueue(ctx, q)
		if err != nil && broker.KindOf(err) != broker.NotFound {
			return err
		}
	}
	return nil
}
