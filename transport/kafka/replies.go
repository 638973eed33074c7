package kafka

import (
	"context"
	"sync"
)

// manyReplies is from how many addresses of replies on the oldest are looked after.
const manyReplies = 256

// replies knows the addresses that replies went to. They come and go with those who ask, but the
// producer would ask the brokers about each of them for ever.
type replies struct {
	topics *topics

	mu   sync.Mutex
	seen map[string]bool
	line []string // of seen, the one that was looked at longest ago in front
}

// use notes an address, and has the producer forget old ones that are gone: it looks after two for
// each that is new, so that there are never many more than are alive.
func (r *replies) use(ctx context.Context, topic string) error {
	if !r.note(topic) {
		return nil
	}
	for _, old := range r.oldest() {
		there, err := r.topics.exists(ctx, old)
		switch {
		case err != nil:
			return err
		case there:
			r.note(old)
		default:
			r.topics.forget(old)
		}
	}
	return nil
}

// note says whether an address is new.
func (r *replies) note(topic string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[topic] {
		return false
	}
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[topic] = true
	r.line = append(r.line, topic)
	return true
}

// oldest takes out two addresses where there are many.
func (r *replies) oldest() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.line) <= manyReplies {
		return nil
	}
	old := r.line[:2:2]
	r.line = r.line[2:]
	for _, topic := range old {
		delete(r.seen, topic)
	}
	return old
}
