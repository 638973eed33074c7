package transporttest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
)

// broken are transports that break one promise each, and the checks that must notice.
var broken = []struct {
	what   string
	checks string // separated by spaces
	spoil  func(c *changed)
}{
	{"drops an attribute",
		"EventsArriveUnchanged NackComesAgain StructuredModeIsRead", func(c *changed) {
			c.delivery = func(d *tidings.Delivery) { d.Subject, d.Causation, d.Time = "", "", time.Time{} }
		}},
	{"compacts payloads",
		"EventsArriveUnchanged StructuredModeIsRead", func(c *changed) {
			c.delivery = func(d *tidings.Delivery) {
				d.Payload = []byte(strings.ReplaceAll(string(d.Payload), " ", ""))
			}
		}},
	{"has one group for all",
		"EveryGroupGetsEachEvent CommandsReachTheirGroupOnly", func(c *changed) {
			c.subscribe = func(s *tidings.Subscription) { s.Group = s.Group[:13] }
		}},
	{"gives each consumer a group", "ConsumersOfAGroupShare", func(c *changed) {
		c.subscribe = func(s *tidings.Subscription) { s.Group += tidings.NewID() }
	}},
	{"forgets topics after the first", "TopicsCanBeAdded", func(c *changed) {
		c.subscribe = func(s *tidings.Subscription) { s.Topics = s.Topics[:min(1, len(s.Topics))] }
	}},
	{"begins with the earliest", "LatestBeginsWithTheDeclaration", func(c *changed) {
		c.subscribe = func(s *tidings.Subscription) { s.From = tidings.Earliest }
	}},
	{"declares nothing",
		"LatestBeginsWithTheDeclaration PublishIsDurable", func(c *changed) {
			c.declare = func(context.Context, tidings.Transport, tidings.Subscription) error { return nil }
		}},
	{"begins with the latest", "EarliestReadsThePast", func(c *changed) {
		c.subscribe = func(s *tidings.Subscription) { s.From = tidings.Latest }
	}},
	{"publishes commands as events",
		"CommandsReachTheirGroupOnly CommandsWaitForTheirGroup AddressesGiveTheTopicBack",
		func(c *changed) {
			c.publish = each(func(e *tidings.Event) bool { e.Kind = tidings.KindEvent; return true })
		}},
	{"leaves reserved extensions", "AddressesGiveTheTopicBack", func(c *changed) {
		c.delivery = func(d *tidings.Delivery) {
			if d.Extensions != nil {
				d.Extensions["origintopic"] = d.Topic
			}
		}
	}},
	{"makes addresses for replies",
		"RepliesNeedAnAddress TemporaryGroupsVanish", func(c *changed) {
			c.publish = each(func(e *tidings.Event) bool {
				if e.Kind == tidings.KindReply {
					e.Kind = tidings.KindCommand
				}
				return true
			})
		}},
	{"keeps temporary groups", "TemporaryGroupsVanish", func(c *changed) {
		c.subscribe = func(s *tidings.Subscription) { s.Temporary = false }
	}},

	{"publishes the first 500", "ManyEventsInOnePublish", func(c *changed) {
		n := 0
		c.publish = each(func(*tidings.Event) bool { n++; return n <= 500 })
	}},
	{"loses the fiftieth event",
		"ManyEventsInOnePublish EqualKeysStayInOrder PublishReceiveAndAckSideBySide PublishIsDurable",
		func(c *changed) {
			c.publish = each(func(e *tidings.Event) bool { return !strings.HasSuffix(e.ID, "-50") })
		}},
	{"does not say which event failed",
		"LargeEventsAreRefused WhatDoesNotEncodeIsRefused WhatReadersWouldNotTakeIsRefused", func(c *changed) {
			c.publish = func(ctx context.Context, next tidings.Publisher, es events) error {
				if err := next.Publish(ctx, es...); err != nil {
					return errors.Unwrap(err)
				}
				return nil
			}
		}},
	{"has topics from messages", "TopicsAreNotWhatMessagesSay", func(c *changed) {
		c.delivery = func(d *tidings.Delivery) { d.Topic = strings.Replace(d.Topic, "orders", "payments", 1) }
	}},
	{"has no room for copies", "CopiesOfTheLargestHaveRoom", func(c *changed) {
		c.publish = func(ctx context.Context, next tidings.Publisher, es events) error {
			if es[0].IsCopy() && len(es[0].Payload) > 1<<10 {
				return &tidings.PublishError{Failed: []int{0}, Err: tidings.ErrTooLarge}
			}
			return next.Publish(ctx, es...)
		}
	}},
	{"names too few of those that failed",
		"LargeEventsAreRefused WhatDoesNotEncodeIsRefused PublishEndsWithItsContext",
		func(c *changed) {
			c.publish = func(ctx context.Context, next tidings.Publisher, es events) error {
				err := next.Publish(ctx, es...)
				if e, ok := errors.AsType[*tidings.PublishError](err); ok {
					e.Failed = e.Failed[1:]
				}
				return err
			}
		}},
	{"ends a publish never", "PublishEndsWithItsContext", func(c *changed) {
		c.publish = func(ctx context.Context, next tidings.Publisher, es events) error {
			if len(es) == 100 {
				time.Sleep(time.Hour)
			}
			return next.Publish(ctx, es...)
		}
	}},
	{"does not hear of contexts", "ASilentBrokerHoldsNobody", func(c *changed) {
		c.publish = func(ctx context.Context, next tidings.Publisher, es events) error {
			return next.Publish(context.WithoutCancel(ctx), es...)
		}
	}},
	{"does not know duplicates", "DuplicatesWithinTheWindowComeOnce", func(c *changed) {
		c.publish = func(ctx context.Context, next tidings.Publisher, es events) error {
			for i := range es {
				es[i].Source += tidings.NewID()
			}
			return next.Publish(ctx, es...)
		}
	}},
	{"publishes at once",
		"PublishAtComesAtItsTime ScheduleSurvivesARestart", func(c *changed) {
			c.publishAt = func(ctx context.Context, next tidings.Publisher, _ time.Time, es events) error {
				return next.Publish(ctx, es...)
			}
		}},
	{"forgets what it has scheduled",
		"PublishAtComesAtItsTime ScheduleSurvivesARestart", func(c *changed) {
			c.publishAt = func(context.Context, tidings.Publisher, time.Time, events) error { return nil }
		}},
	{"does what it says it cannot", "RefusesWhatItLacks", func(c *changed) {
		c.caps = func(caps *tidings.Capabilities) {
			*caps = tidings.Capabilities{MaxDelay: time.Minute, MaxSchedule: time.Minute}
		}
	}},

	{"turns batches around",
		"EqualKeysStayInOrder EqualKeysStayInOrderAmongConsumers PositionsAscend", func(c *changed) {
			c.receive = func(ctx context.Context, next tidings.Consumer, max int) (deliveries, error) {
				ds, err := next.Receive(ctx, max)
				slices.Reverse(ds)
				return ds, err
			}
		}},
	{"has no positions", "PositionsAscend", func(c *changed) {
		c.delivery = func(d *tidings.Delivery) { d.Lane, d.Offset = "", -1 }
	}},
	{"receives more than max", "ReceiveHonoursMax", func(c *changed) {
		c.receive = func(ctx context.Context, next tidings.Consumer, max int) (deliveries, error) {
			return next.Receive(ctx, max+1)
		}
	}},
	{"knows no window", "WindowBoundsWhatIsHeld", func(c *changed) {
		c.subscribe = func(s *tidings.Subscription) { s.Window = 0 }
	}},
	{"does not say why receive ended",
		"ReceiveEndsWithItsContext ReceiveAfterCloseIsErrClosed", func(c *changed) {
			c.receive = func(ctx context.Context, next tidings.Consumer, max int) (deliveries, error) {
				ds, err := next.Receive(ctx, max)
				if err != nil {
					err = io.EOF
				}
				return ds, err
			}
		}},
	{"ends with a receive that ends", "ReceiveEndsWithItsContext", func(c *changed) {
		c.receive = func(ctx context.Context, next tidings.Consumer, max int) (deliveries, error) {
			ds, err := next.Receive(ctx, max)
			if err != nil {
				_ = next.Close(ctx)
			}
			return ds, err
		}
	}},

	{"acknowledges what is given back",
		"NackComesAgain NackComesNotBeforeItsDelay AttemptsCountUp",
		settling(settles{nack: func(ctx context.Context, next tidings.Settler, _ time.Duration) error {
			return next.Ack(ctx)
		}})},
	{"gives back at once", "NackComesNotBeforeItsDelay",
		settling(settles{nack: func(ctx context.Context, next tidings.Settler, _ time.Duration) error {
			return next.Nack(ctx, 0)
		}})},
	{"counts no attempts", "AttemptsCountUp", func(c *changed) {
		c.delivery = func(d *tidings.Delivery) { d.Attempt = 1 }
	}},
	{"does not extend", "ExtendKeepsADelivery",
		settling(settles{extend: func(context.Context, tidings.Settler, time.Duration) error {
			return nil
		}})},
	{"takes nothing back", "OverdueDeliveriesAreTakenBack", func(c *changed) {
		c.delivery = func(d *tidings.Delivery) { _ = d.Extend(context.Background(), time.Hour) }
	}},
	{"lets others settle", "OverdueDeliveriesAreTakenBack", anyDeliverySettles},
	{"loses acknowledgements",
		"CommittedDoesNotComeBack UnsettledComesBackAfterClose UnsettledComesBackAfterACut",
		settling(settles{ack: func(context.Context, tidings.Settler) error { return nil }})},
	{"commits nothing",
		"CommittedDoesNotComeBack UnsettledComesBackAfterACut", func(c *changed) {
			c.commit = func(context.Context, tidings.Consumer) error { return nil }
		}},
	{"acknowledges what it hands out",
		"UnsettledComesBackAfterClose UnsettledComesBackAfterACut " +
			"NothingIsLostInCuts NothingIsLostInARestart",
		func(c *changed) {
			c.receive = func(ctx context.Context, next tidings.Consumer, max int) (deliveries, error) {
				ds, err := next.Receive(ctx, max)
				for _, d := range ds {
					_ = d.Ack(ctx)
				}
				_ = next.Commit(ctx)
				return ds, err
			}
			settling(settles{ack: func(context.Context, tidings.Settler) error { return nil }})(c)
		}},

	{"has a new id each time", "ForeignMessagesAreDelivered", func(c *changed) {
		c.delivery = func(d *tidings.Delivery) { d.ID = tidings.NewID() }
	}},
	{"tells no reason", "MalformedMessagesAreDelivered", func(c *changed) {
		c.delivery = func(d *tidings.Delivery) { delete(d.Extensions, "malformed") }
	}},
	{"ends with a malformed message", "MalformedMessagesAreDelivered", func(c *changed) {
		c.receive = func(ctx context.Context, next tidings.Consumer, max int) (deliveries, error) {
			ds, err := next.Receive(ctx, max)
			if len(ds) > 0 && ds[0].Extensions["malformed"] != "" {
				return nil, errors.New("what is that?")
			}
			return ds, err
		}
	}},
	{"leaves a goroutine", "NothingIsLeftAfterClose", func(c *changed) {
		c.subscribe = func(*tidings.Subscription) { go time.Sleep(time.Hour) }
	}},
}

// whole is the whole suite.
var whole = slices.Concat(checks, disturbing)

// each is a publish that changes events, and loses those for which change is false.
func each(change func(*tidings.Event) bool) func(context.Context, tidings.Publisher, events) error {
	return func(ctx context.Context, next tidings.Publisher, es events) error {
		var some events
		for _, e := range es {
			if change(&e) {
				some = append(some, e)
			}
		}
		return next.Publish(ctx, some...)
	}
}

func settling(how settles) func(c *changed) {
	return func(c *changed) {
		c.delivery = func(d *tidings.Delivery) {
			own := how
			own.Settler = d.Settler
			d.Settler = &own
		}
	}
}

// anyDeliverySettles lets an Ack of an event settle whichever delivery of it is the last, and says
// that the first could not.
func anyDeliverySettles(c *changed) {
	last := map[string]tidings.Settler{}
	c.delivery = func(d *tidings.Delivery) {
		last[d.ID] = d.Settler
		d.Settler = &settles{Settler: d.Settler, ack: func(ctx context.Context, own tidings.Settler) error {
			_ = last[d.ID].Ack(ctx)
			return own.Ack(ctx)
		}}
	}
}

// Each check fails for a transport that breaks its promise.
func TestEachCheckCanFail(t *testing.T) {
	noticed := map[string]bool{}
	for _, b := range broken {
		for name := range strings.FieldsSeq(b.checks) {
			noticed[name] = true
			t.Run(name+"/"+strings.ReplaceAll(b.what, " ", "_"), func(t *testing.T) {
				mustNotice(t, name, b.spoil)
			})
		}
	}
	for _, c := range whole {
		if !noticed[c.name] {
			t.Errorf("no broken transport shows that %s can fail", c.name)
		}
	}
}

func mustNotice(t *testing.T, name string, spoil func(*changed)) {
	i := slices.IndexFunc(whole, func(c check) bool { return c.name == name })
	if i < 0 {
		t.Fatal("there is no such check")
	}
	h := memory(all, func(b tidings.Transport) tidings.Transport {
		c := &changed{Transport: untyped(b)}
		spoil(c)
		return c
	}).withDefaults()
	h.Around(t, func(t *testing.T) {
		failures, skipped := record(t, whole[i], h)
		if len(failures) == 0 {
			t.Errorf("it passes (skipped: %q)", skipped)
		}
		time.Sleep(2 * time.Hour) // virtual ones, until the goroutines of the broken have ended
		for _, f := range failures {
			t.Log("noticed: ", f)
		}
	})
}

func TestASkippedCheckSaysWhy(t *testing.T) {
	h := memory(nil, untyped).withDefaults()
	h.Cut = nil
	h.Skip = map[string]string{"NackComesAgain": "this broker has no nack"}
	for name, want := range map[string]string{
		"NackComesAgain":                    "cannot pass here: this broker has no nack",
		"DuplicatesWithinTheWindowComeOnce": "not among the capabilities: DedupWindow",
		"NothingIsLostInCuts":               "the harness has no Cut",
	} {
		h.Around(t, func(t *testing.T) {
			i := slices.IndexFunc(whole, func(c check) bool { return c.name == name })
			if failures, skipped := record(t, whole[i], h); skipped != want || len(failures) > 0 {
				t.Errorf("%s: got %q, want %q", name, skipped, want)
			}
		})
	}
}
