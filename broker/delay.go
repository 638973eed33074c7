package broker

import "time"

// A record that is not ready at once waits in a schedule of its queue, see schedule: that
// of an exchange which nobody finds and which leads to the queue alone. So it takes hardly
// any memory, and the queue does not have it before its time. It keeps what it was published
// with, its time included.

// delayOf is how long a record that is published waits before the queue has it ready.
func (q *Queue) delayOf(r *QueueRecord) time.Duration {
	if r.Delay != nil {
		return max(*r.Delay, 0)
	}
	s := q.settings.Load()
	if s.Groups == OrderedGroups {
		return 0 // it waits where it is, see grouping
	}
	return s.Delay
}

// delay moves the queues that are to have a record later to what is held back of it.
func (p *txPublish) delay(now int64) {
	if p.from != nil || p.due {
		return
	}
	at := 0
	for _, q := range p.to {
		d := q.delayOf(&p.rec)
		if d <= 0 {
			p.to[at] = q
			at++
			continue
		}
		if p.hold == nil {
			p.hold = &txHold{now: now, props: p.rec.Props}
		}
		due := millisOf(timeOf(now).Add(d))
		p.hold.by = append(p.hold.by, txHeld{x: q.delays(), at: due, props: p.rec.Props})
	}
	p.to = p.to[:at]
}

// delays is the exchange whose schedule has what is delayed.
func (q *Queue) delays() *Exchange {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.later == nil {
		q.later = q.b.newDelays(q)
	}
	return q.later
}

func (b *Broker) newDelays(q *Queue) *Exchange {
	x := &Exchange{b: b, name: q.name, spec: ExchangeSpec{Durable: q.spec.Durable}, only: q}
	x.schedule = b.newSchedule(x)
	x.schedule.dead = q.dead
	return x
}
