package management

import (
	"slices"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// streams are the topics of a namespace, as AMQP sees them: those whose name no queue has.
func (s *Server) streams(namespace string) []*broker.Topic {
	return slices.DeleteFunc(s.b.Topics(namespace), func(t *broker.Topic) bool {
		_, err := s.b.Queue(namespace, t.Name().Name)
		return err == nil
	})
}

// streamNamed is the stream in the path, where no queue is.
func (s *Server) streamNamed(r *request) (*broker.Topic, error) {
	t, err := s.b.Topic(r.namespace, r.PathValue("q"))
	if err != nil {
		return nil, errNotFound
	}
	return t, nil
}

// someQueue finds the queue in the path, or where there is none the stream; exactly one is not nil.
func (s *Server) someQueue(r *request) (q *broker.Queue, t *broker.Topic, err error) {
	if q, err = s.queueNamed(r); err != nil {
		t, err = s.streamNamed(r)
	}
	return q, t, err
}

func (s *Server) showStream(t *broker.Topic) object {
	stats := streamTotals(t)
	doc := stats.lengths()
	for name, v := range (object{
		"name": t.Name().Name, "vhost": amqp.VhostOf(t.Name().Namespace), "type": "stream", "node": s.nodeName(),
		"state": "running", "durable": true, "auto_delete": false, "exclusive": false,
		"arguments": showArgs(amqp.StreamArgs(t)), "message_bytes": stats.Bytes,
		"consumers": stats.Subscriptions, "message_stats": stats.stats(), "partitions": t.Partitions(),
	}) {
		doc[name] = v
	}
	return doc
}

func streamTotals(t *broker.Topic) totals {
	stats := totals{Ready: amqp.Messages(t), Subscriptions: t.Followers()}
	for i := range t.Partitions() {
		stats.Bytes += t.Partition(i).SizeBytes()
	}
	return stats
}
