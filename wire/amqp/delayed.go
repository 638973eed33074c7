package amqp

import (
	"math"
	"strconv"
	"time"
)

// delayedExchange is the type of exchanges that delay messages.
const delayedExchange = "x-delayed-message"

// delayHeader asks an exchange of type x-delayed-message for a delay, in milliseconds. On a
// message that was delayed it is negative, so that it is not delayed again.
const delayHeader = "x-delay"

// Delay is what the header x-delay asks for, by the rules of RabbitMQ's plugin: numbers of any
// kind, also as text. Less than nothing, more than maxMillis, and anything else is no delay.
func (Props) Delay(props []byte) time.Duration {
	ms, ok := delayOf(props)
	if !ok || ms < 0 || ms > maxMillis {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// Delayed returns properties whose x-delay is negative.
func (Props) Delayed(props []byte) []byte {
	ms, ok := delayOf(props)
	if !ok {
		return props
	}
	p, err := parseProperties(props)
	if err != nil {
		return props
	}
	var value any = -ms
	if ms <= math.MaxInt32 {
		value = int32(-ms)
	}
	p.Headers = p.Headers.with(delayHeader, value)
	out, err := p.append(nil)
	if err != nil {
		return props
	}
	return out
}

func delayOf(props []byte) (ms int64, ok bool) {
	x, err := indexProperties(props)
	if err != nil {
		return 0, false
	}
	v, there := x.headers().find(delayHeader)
	if !there {
		return 0, false
	}
	return number(v)
}

// number reads a whole number, as which it may come, and cuts off the rest of another one.
func number(v any) (n int64, ok bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, v > math.MinInt64
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case float32:
		return whole(float64(v))
	case float64:
		return whole(v)
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil && n > math.MinInt64
	}
	return 0, false
}

func whole(f float64) (n int64, ok bool) {
	if math.Abs(f) > 1<<53 || f != f {
		return 0, false
	}
	return int64(f), true
}
