package embedded

import (
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// Encode is an event as a record, as Publish writes it: for those who keep events in other logs of
// the broker. Kind is in it, and Topic is not. The payload is shared.
func Encode(e *tidings.Event) broker.Record {
	var s scratch
	return s.record(e)
}

// Decoder reads what Encode has made, one record after the other. Its zero value is ready. It is
// for one goroutine.
type Decoder struct{ reading reading }

// Decode is the event that a record is. It fails where the record is no event in binary mode.
func (d *Decoder) Decode(rec *broker.Record) (e tidings.Event, err error) {
	err = d.reading.binary(&e, rec) // before e is read for the return
	return e, err
}
