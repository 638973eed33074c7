package otel

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidings-io/tidings"
)

// Config says where spans and metrics go.
type Config struct {
	// Tracer and Meter are the program's global providers where they are nil.
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// System is messaging.system, such as "kafka", "rabbitmq" or "aws_sqs"; "" is "tidings".
	System string
}

// Telemetry traces and measures. It is safe for use by many goroutines, and by many services.
type Telemetry struct {
	tracer  trace.Tracer
	system  string
	metrics metrics
	w3c     propagation.TraceContext
}

const scope = "github.com/tidings-io/tidings/otel"

// New makes the instruments. Its error is that of the meter provider.
func New(c Config) (*Telemetry, error) {
	if c.Tracer == nil {
		c.Tracer = otel.GetTracerProvider()
	}
	if c.Meter == nil {
		c.Meter = otel.GetMeterProvider()
	}
	if c.System == "" {
		c.System = "tidings"
	}
	m, err := newMetrics(c.Meter.Meter(scope), c.System)
	if err != nil {
		return nil, err
	}
	return &Telemetry{tracer: c.Tracer.Tracer(scope, trace.WithSchemaURL(schemaURL)), system: c.System,
		metrics: m}, nil
}

// Options are for NewService: the middleware that makes spans of attempts, the wrapper that makes
// those of publishes, and the observer that measures.
func (t *Telemetry) Options() []tidings.Option {
	return []tidings.Option{tidings.WithMiddleware(t.Middleware), tidings.WithBatchMiddleware(t.BatchMiddleware),
		tidings.WithPublisher(t.Publisher), tidings.WithObserver(t.Observer())}
}
