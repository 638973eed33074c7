package otel

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tidings-io/tidings"
)

type metrics struct {
	system   system
	sent     sentMessages
	consumed consumedMessages
	client   operationDuration
	process  processDuration
	retries  metric.Int64Counter
	dead     metric.Int64Counter
	breaker  metric.Int64Counter
}

func newMetrics(meter metric.Meter, name string) (m metrics, err error) {
	bounds := metric.WithExplicitBucketBoundaries(seconds...)
	m.system = system(name)
	var errs [7]error
	m.sent, errs[0] = newSent(meter)
	m.consumed, errs[1] = newConsumed(meter)
	m.client, errs[2] = newClient(meter, bounds)
	m.process, errs[3] = newProcess(meter, bounds)
	m.retries, errs[4] = counter(meter, "tidings.retries", "{attempt}", "Attempts that follow a failed one.")
	m.dead, errs[5] = counter(meter, "tidings.dead_letters", "{message}", "Events put among the dead letters.")
	m.breaker, errs[6] = counter(meter, "tidings.breaker.opened", "{opening}", "Times that a circuit breaker opened.")
	return m, errors.Join(errs[:]...)
}

func counter(meter metric.Meter, name, unit, description string) (metric.Int64Counter, error) {
	return meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
}

// Observer measures what a service does.
func (t *Telemetry) Observer() tidings.Observer {
	m := &t.metrics
	return tidings.Observer{
		Received: func(name string, n int) {
			m.consumed.Add(context.Background(), int64(n), opReceive, m.system, group(name))
		},
		Handled:   m.handled,
		Published: m.published,
		Retried: func(r tidings.Retried) {
			m.retries.Add(context.Background(), 1, about(r.Group, r.Delivery))
		},
		DeadLettered: func(d tidings.DeadLettered) {
			m.dead.Add(context.Background(), 1, about(d.Group, d.Delivery))
		},
		BreakerOpened: func(name string, _ time.Duration) {
			m.breaker.Add(context.Background(), 1, metric.WithAttributes(group(name)))
		},
	}
}

func about(name string, d *tidings.Delivery) metric.MeasurementOption {
	return metric.WithAttributes(group(name), destination(d.Topic))
}

func (m *metrics) handled(h tidings.Handled) {
	attributes := []attribute.KeyValue{group(h.Group), destination(h.Delivery.Topic)}
	if h.Err != nil {
		attributes = append(attributes, errorType(h.Err))
	}
	m.process.Record(context.Background(), h.Took.Seconds(), opProcess, m.system, attributes...)
}

func (m *metrics) published(p tidings.Published) {
	ctx := context.Background()
	var failed []attribute.KeyValue
	if p.Err != nil {
		failed = []attribute.KeyValue{errorType(p.Err)}
	}
	m.client.Record(ctx, p.Took.Seconds(), opSend, m.system, failed...)
	type kind struct {
		topic  string
		failed bool
	}
	count := map[kind]int64{}
	for i := range p.Events {
		count[kind{p.Events[i].Topic, hasFailed(p.Err, i)}]++
	}
	for of, n := range count {
		attributes := []attribute.KeyValue{destination(of.topic)}
		if of.failed {
			attributes = append(attributes, failed...)
		}
		m.sent.Add(ctx, n, opSend, m.system, attributes...)
	}
}

// hasFailed says whether an event of a publish may not have been published.
func hasFailed(err error, i int) bool {
	if part, ok := errors.AsType[*tidings.PublishError](err); ok {
		return slices.Contains(part.Failed, i)
	}
	return err != nil
}
