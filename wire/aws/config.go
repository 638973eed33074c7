package aws

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/tidings-io/tidings/listener"
)

// Config says how to listen. The zero value listens on localhost:4566, where emulators of AWS do.
type Config struct {
	Addr string // host:port; default localhost:4566, which is both loopback addresses
	// AllowRemote lets Addr be one that other machines can reach.
	AllowRemote bool
	// Hosts are names, beside loopback, addresses, names without a dot and that of TopicsConfig.URL,
	// under which a GET is answered. A browser sends a GET to a foreign name that was rebound to this machine without
	// saying whose page wants it.
	Hosts []string
	// Account and Region stand in ARNs, the account in queue URLs too; default 000000000000 and
	// us-east-1. Queues know nothing of them: they can be changed.
	Account, Region string
	// Topics are those of the broker, which has their Relay; required.
	Topics *Topics
	// Keys are secret keys by access key id. Nil: requests need no signature, and one is not looked at.
	Keys map[string]string
	// Reset lets whoever may ask empty the server by POST /_tidings/reset. For test suites.
	Reset bool
	// Prepare is called when the address is bound, and before the first request is served; what it makes by
	// Do is there for all of them. Its error is Listen's. Nil: nothing is made.
	Prepare func(*Server) error

	Now    func() time.Time // default time.Now; for the age of signatures and the times of queues
	Logger *slog.Logger     // default: nothing is logged
	Limits Limits
}

// Limits bound what clients can ask for. A zero field is its default.
type Limits struct {
	Connections int // default 4096; a further one is closed. A long poll takes one
	// BodyBytes of a request; default 4 MiB, which a message of 1 MiB takes where every third byte is
	// escaped; beyond it 413.
	BodyBytes int64
	Bodies    int // requests above 256 KiB in memory at once; default 4; more wait
	Values    int // names and values in one request; default 2048
	InFlight  int // messages of a queue; default 120000; beyond it OverLimit, or nothing of a FIFO queue
	MoveTasks int // that move messages at a time; default 100, as AWS; beyond it RequestThrottled
	Attempts  int // receives of FIFO queues that can be tried again; default 10000; the oldest are forgotten

	BodyTime   time.Duration // to receive a body; default 30 s
	AnswerTime time.Duration // for a client to read an answer; default 60 s
}

var defaultLimits = Limits{Connections: 4096, BodyBytes: 4 << 20, Bodies: 4, Values: 2048, InFlight: 120_000,
	MoveTasks: 100, Attempts: 10_000, BodyTime: 30 * time.Second, AnswerTime: time.Minute}

var (
	accountNumber = regexp.MustCompile(`^[0-9]{12}$`)
	regionName    = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
)

// Check says what is wrong with a Config, as Listen would.
func (c Config) Check() error {
	_, err := c.checked()
	return err
}

func (c Config) checked() (Config, error) {
	c.Addr = cmp.Or(c.Addr, "localhost:4566")
	c.Account = cmp.Or(c.Account, "000000000000")
	c.Region = cmp.Or(c.Region, "us-east-1")
	l, d := &c.Limits, defaultLimits
	l.Connections = cmp.Or(l.Connections, d.Connections)
	l.BodyBytes = cmp.Or(l.BodyBytes, d.BodyBytes)
	l.Bodies = cmp.Or(l.Bodies, d.Bodies)
	l.Values = cmp.Or(l.Values, d.Values)
	l.InFlight = cmp.Or(l.InFlight, d.InFlight)
	l.MoveTasks = cmp.Or(l.MoveTasks, d.MoveTasks)
	l.Attempts = cmp.Or(l.Attempts, d.Attempts)
	l.BodyTime = cmp.Or(l.BodyTime, d.BodyTime)
	l.AnswerTime = cmp.Or(l.AnswerTime, d.AnswerTime)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case !accountNumber.MatchString(c.Account):
		return c, fmt.Errorf("aws: account is %q, want 12 digits", c.Account)
	case !regionName.MatchString(c.Region):
		return c, fmt.Errorf("aws: region is %q, want a name such as us-east-1", c.Region)
	case l.Connections < 0 || l.BodyBytes < 0 || l.Bodies < 0 || l.Values < 0 || l.InFlight < 0 ||
		l.MoveTasks < 0 || l.Attempts < 0 || l.BodyTime < 0 || l.AnswerTime < 0:
		return c, errors.New("aws: a limit is negative")
	}
	if err := listener.Check(c.Addr, c.AllowRemote); err != nil {
		return c, fmt.Errorf("aws: %w", err)
	}
	return c, nil
}
