package broker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// retentionLoop removes, once per Config.RetentionInterval, what has outlived its
// topic's retention, producers that are idle too long, what queues have settled last,
// and what is left of deleted event stores. It ends with Close, or when the disk has failed.
func (b *Broker) retentionLoop() {
	tick := time.NewTicker(b.config.RetentionInterval)
	defer tick.Stop()
	for {
		select {
		case <-b.life.Done():
			return
		case <-b.store.Failed():
			return
		case <-tick.C:
		}
		if err := b.retain(b.life); err != nil {
			b.config.Logger.Error("retention", "error", err)
		}
	}
}

// retain is one look at everything. Each partition is a batch of its own, so that
// the loop never holds up appends elsewhere.
func (b *Broker) retain(ctx context.Context) error {
	now := b.config.Now()
	var errs []error
	for _, t := range b.allTopics() {
		config := t.Effective()
		for _, p := range t.all() {
			if err := p.retain(now, &config); err != nil && !errors.Is(err, storage.ErrDropped) {
				errs = append(errs, p.failed("retain", err))
			}
		}
	}
	if err := errors.Join(b.trimQueues(), b.trimSchedules(), b.trimLedgers()); err != nil {
		errs = append(errs, storeError("trim queues", "", err))
	}
	for _, log := range b.trash() {
		if err := b.emptyTrash(ctx, log); err != nil {
			errs = append(errs, storeError("empty trash", "", err))
		}
	}
	return errors.Join(errs...)
}

func (b *Broker) allTopics() []*Topic {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	all := make([]*Topic, 0, len(b.cat.topics))
	for _, t := range b.cat.topics {
		all = append(all, t)
	}
	return all
}

func (b *Broker) trash() []storage.LogID {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	return slices.Collect(maps.Keys(b.cat.trash))
}

// retain trims a partition and forgets idle producers, in one batch.
func (p *Partition) retain(now time.Time, c *TopicConfig) error {
	before := int64(-1)
	if c.RetentionTime != Forever {
		before = now.Add(-c.RetentionTime).UnixMilli()
	}
	to := p.log.Expired(before, c.RetentionBytes)
	start, _ := p.Bounds()
	idle := now.Add(-p.b.config.ProducerExpiry).UnixMilli()

	var batch storage.Batch
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return nil
	}
	if to > start {
		batch.Trim(p.log, to)
	}
	gone := p.idleLocked(idle)
	for _, id := range gone {
		batch.Delete(appendProducerKey(nil, p.log.ID(), id))
	}
	if batch.Len() == 0 {
		return nil
	}
	if _, err := p.b.store.Submit(&batch); err != nil {
		return err
	}
	for _, id := range gone {
		delete(p.producers, id)
	}
	return nil
}

// idleLocked returns the producers whose last append lies before a time in ms.
func (p *Partition) idleLocked(before int64) []int64 {
	var ids []int64
	for id, state := range p.producers {
		if state.timeMs < before {
			ids = append(ids, id)
		}
	}
	return ids
}
