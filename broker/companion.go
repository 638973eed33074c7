package broker

import "sync"

// companions are what others keep beside the broker.
type companions struct {
	mu  sync.Mutex
	all map[any]any
}

// Companion returns what is kept beside the broker under a key, which is to be of a type of the caller's own;
// the first call makes it, and nothing may call Companion meanwhile. It is for those who use one broker from
// several places of a program, and need to know of each other. It lives as long as the broker, which does
// nothing with it.
func (b *Broker) Companion(key any, build func() any) any {
	c := &b.companions
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.all[key]; ok {
		return v
	}
	if c.all == nil {
		c.all = map[any]any{}
	}
	v := build()
	c.all[key] = v
	return v
}
