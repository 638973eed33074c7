package shop

import (
	"context"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/store/embedded"
)

// newNotification is the notification service: it tells customers how their orders ended. A mail
// is never sent exactly once; what is counted here is that there is one entry in the outgoing mail
// of each order, which a mailer would send with the order's number as its key.
func newNotification(p Place) Part {
	st := p.Store
	note := func(text string) func(context.Context, *embedded.Tx, tidings.Msg[About]) error {
		return func(_ context.Context, tx *embedded.Tx, m tidings.Msg[About]) error {
			var mails []string
			if err := get(tx, m.Data.Order, &mails); err != nil {
				return err
			}
			return put(tx, m.Data.Order, append(mails, m.Data.Customer+": your order "+text))
		}
	}
	return p.part("notification", tidings.Policy{},
		inbox.On(st, OrderCompleted, note("is on its way")),
		inbox.On(st, OrderRejected, note("was rejected")),
		books(p, "notification", notificationBooks))
}
