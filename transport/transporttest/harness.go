package transporttest

import (
	"context"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
)

// Harness is how the suite gets at a broker and its clients. Only New is needed.
type Harness struct {
	// New is a fresh client of the broker, which is the same for all calls. The suite closes it
	// where it has a method Close() error or Close(context.Context) error; other ends are for
	// t.Cleanup.
	New func(t testing.TB) tidings.Transport
	// Leased is a client whose deliveries have a Deadline one or two seconds ahead; nil where
	// there are no deadlines.
	Leased func(t testing.TB) tidings.Transport
	// Cut is a client, and what cuts its connections at once as a network would. The client can
	// connect again.
	Cut func(t testing.TB) (client tidings.Transport, cut func())
	// Stall is a client, and what lets nothing pass between it and the broker until resume is
	// called, as a network that drops packets.
	Stall func(t testing.TB) (client tidings.Transport, stall func() (resume func()))
	// Kill ends the broker as a crash would, and Restart starts it again where clients of before
	// find it. Both are called in turn, by one test at a time; nil where it cannot be done.
	Kill, Restart func(t testing.TB)
	// PublishRaw publishes to a topic what no Publisher of tidings made; nil where nobody else
	// publishes.
	PublishRaw func(ctx context.Context, topic string, m Raw) error

	// Name makes a name that the broker takes of one with letters, digits and '-'; nil for the
	// name itself.
	Name func(string) string
	// Patience is how long the suite waits for what must come; 0 is 15 s.
	Patience time.Duration
	// Quiet is how long nothing has to come until the suite believes that nothing will; 0 is
	// 500 ms.
	Quiet time.Duration
	// Skip has tests that cannot pass on this broker, by name, with the reason.
	Skip map[string]string
	// Parallel runs the tests side by side that leave the broker and each other alone, so that
	// quiet times are waited for together. They begin when the test that called Run returns, so
	// that what it has started is for t.Cleanup to end.
	Parallel bool
	// Around runs each test; nil runs it as it is. synctest.Test puts it into virtual time.
	Around func(t *testing.T, test func(t *testing.T))
}

// Raw is a message as foreign programs publish it.
type Raw struct {
	ContentType string
	// ID goes where the protocol has a publisher name its message, such as message-id of AMQP.
	ID string
	// Attributes are those of CloudEvents in the binary mode of the protocol, which adds what goes
	// before their names. Neither names nor values need be valid.
	Attributes map[string]string
	Key        string // where the protocol has one outside of attributes
	Body       []byte
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	h = h.withDefaults()
	for _, c := range disturbing {
		t.Run(c.name, func(t *testing.T) { h.Around(t, func(t *testing.T) { c.on(t, h) }) })
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if h.Parallel {
				t.Parallel()
			}
			h.Around(t, func(t *testing.T) { c.on(t, h) })
		})
	}
}

func (h Harness) withDefaults() Harness {
	if h.Name == nil {
		h.Name = func(name string) string { return name }
	}
	if h.Patience == 0 {
		h.Patience = 15 * time.Second
	}
	if h.Quiet == 0 {
		h.Quiet = 500 * time.Millisecond
	}
	if h.Around == nil {
		h.Around = func(t *testing.T, test func(t *testing.T)) { test(t) }
	}
	return h
}

// check is one test of the suite.
type check struct {
	name  string
	needs need
	run   func(s *suite)
}

// need says why a check cannot be made, or "".
type need func(h Harness, c tidings.Capabilities) string

func (c check) on(t testing.TB, h Harness) {
	if why := h.Skip[c.name]; why != "" {
		t.Skip("cannot pass here: " + why)
	}
	s := newSuite(t, h)
	if c.needs != nil {
		if why := c.needs(h, s.caps); why != "" {
			t.Skip(why)
		}
	}
	c.run(s)
}

// checks is most of the suite, in the order in which a new transport should pass it.
var checks = []check{
	{"EventsArriveUnchanged", nil, eventsArriveUnchanged},
	{"EveryGroupGetsEachEvent", nil, everyGroupGetsEachEvent},
	{"ConsumersOfAGroupShare", nil, consumersOfAGroupShare},
	{"TopicsCanBeAdded", nil, topicsCanBeAdded},
	{"LatestBeginsWithTheDeclaration", nil, latestBeginsWithTheDeclaration},
	{"EarliestReadsThePast", needReplay, earliestReadsThePast},
	{"CommandsReachTheirGroupOnly", nil, commandsReachTheirGroupOnly},
	{"CommandsWaitForTheirGroup", nil, commandsWaitForTheirGroup},
	{"AddressesGiveTheTopicBack", nil, addressesGiveTheTopicBack},
	{"RepliesNeedAnAddress", nil, repliesNeedAnAddress},
	{"TemporaryGroupsVanish", needTemporary, temporaryGroupsVanish},

	{"ManyEventsInOnePublish", nil, manyEventsInOnePublish},
	{"LargeEventsAreRefused", needMaxBytes, largeEventsAreRefused},
	{"CopiesOfTheLargestHaveRoom", needMaxBytes, copiesOfTheLargestHaveRoom},
	{"WhatDoesNotEncodeIsRefused", nil, whatDoesNotEncodeIsRefused},
	{"WhatReadersWouldNotTakeIsRefused", nil, whatReadersWouldNotTakeIsRefused},
	{"PublishEndsWithItsContext", nil, publishEndsWithItsContext},
	{"DuplicatesWithinTheWindowComeOnce", needDedup, duplicatesComeOnce},
	{"PublishAtComesAtItsTime", needSchedule, publishAtComesAtItsTime},
	{"RefusesWhatItLacks", nil, refusesWhatItLacks},

	{"EqualKeysStayInOrder", needOrder(tidings.OrderQueue), equalKeysStayInOrder},
	{"EqualKeysStayInOrderAmongConsumers", needOrder(tidings.OrderLane), inOrderAmongConsumers},
	{"PositionsAscend", needPositions, positionsAscend},
	{"ReceiveHonoursMax", nil, receiveHonoursMax},
	{"WindowBoundsWhatIsHeld", nil, windowBoundsWhatIsHeld},
	{"ReceiveEndsWithItsContext", nil, receiveEndsWithItsContext},
	{"ReceiveAfterCloseIsErrClosed", nil, receiveAfterCloseIsErrClosed},
	{"PublishReceiveAndAckSideBySide", nil, sideBySide},

	{"NackComesAgain", nil, nackComesAgain},
	{"NackComesNotBeforeItsDelay", needDelay, nackComesNotBeforeItsDelay},
	{"AttemptsCountUp", needAttempts, attemptsCountUp},
	{"ExtendKeepsADelivery", needLeased, extendKeepsADelivery},
	{"OverdueDeliveriesAreTakenBack", needLeased, overdueDeliveriesAreTakenBack},
	{"UnsettledComesBackAfterClose", nil, unsettledComesBackAfterClose},
	{"CommittedDoesNotComeBack", nil, committedDoesNotComeBack},

	{"StructuredModeIsRead", needRaw, structuredModeIsRead},
	{"ForeignMessagesAreDelivered", needRaw, foreignMessagesAreDelivered},
	{"MalformedMessagesAreDelivered", needRaw, malformedMessagesAreDelivered},
	{"TopicsAreNotWhatMessagesSay", needRaw, topicsAreNotWhatMessagesSay},

	{"UnsettledComesBackAfterACut", needCut, unsettledComesBackAfterACut},
	{"NothingIsLostInCuts", needCut, nothingIsLostInCuts},
	{"ASilentBrokerHoldsNobody", needStall, aSilentBrokerHoldsNobody},
}

// disturbing are the checks that do something to other clients, or look at the whole process.
var disturbing = []check{
	{"PublishIsDurable", needKill, publishIsDurable},
	{"ScheduleSurvivesARestart", both(needSchedule, needKill), scheduleSurvivesARestart},
	{"NothingIsLostInARestart", needKill, nothingIsLostInARestart},
	{"NothingIsLeftAfterClose", nil, nothingIsLeftAfterClose},
}

func capability(name string, has func(tidings.Capabilities) bool) need {
	return func(_ Harness, c tidings.Capabilities) string {
		if has(c) {
			return ""
		}
		return "not among the capabilities: " + name
	}
}

func hook(name string, has func(Harness) bool) need {
	return func(h Harness, _ tidings.Capabilities) string {
		if has(h) {
			return ""
		}
		return "the harness has no " + name
	}
}

func both(a, b need) need {
	return func(h Harness, c tidings.Capabilities) string {
		if why := a(h, c); why != "" {
			return why
		}
		return b(h, c)
	}
}

func needOrder(least tidings.Order) need {
	return capability("order "+least.String(),
		func(c tidings.Capabilities) bool { return c.Order >= least })
}

// caps is short, for the table.
type caps = tidings.Capabilities

var (
	needReplay    = capability("Replay", func(c caps) bool { return c.Replay })
	needTemporary = capability("Temporary", func(c caps) bool { return c.Temporary })
	needPositions = capability("Positions", func(c caps) bool { return c.Positions })
	needAttempts  = capability("Attempts", func(c caps) bool { return c.Attempts })
	needDelay     = capability("MaxDelay", func(c caps) bool { return c.MaxDelay >= time.Second })
	needSchedule  = capability("MaxSchedule", func(c caps) bool { return c.MaxSchedule >= time.Second })
	needDedup     = capability("DedupWindow", func(c caps) bool { return c.DedupWindow > 0 })
	needMaxBytes  = capability("MaxBytes up to 32 MiB", func(c caps) bool {
		return c.MaxBytes > 0 && c.MaxBytes <= 32<<20 // more would take the memory of the machine
	})
	needLeased = hook("Leased", func(h Harness) bool { return h.Leased != nil })
	needStall  = hook("Stall", func(h Harness) bool { return h.Stall != nil })
	needCut    = hook("Cut", func(h Harness) bool { return h.Cut != nil })
	needKill   = hook("Kill and Restart", func(h Harness) bool {
		return h.Kill != nil && h.Restart != nil
	})
	needRaw = hook("PublishRaw", func(h Harness) bool { return h.PublishRaw != nil })
)
