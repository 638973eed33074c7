package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/listener"
	"github.com/tidings-io/tidings/storage"
)

// check finds what can be wrong before anything is opened.
func (s *settings) check() error {
	if _, err := s.wrongValue(); err != nil {
		return err
	}
	s.Kafka.Listen = withPort(s.Kafka.Listen, "9092")
	if s.AMQP.Listen != off {
		s.AMQP.Listen = withPort(s.AMQP.Listen, "5672")
	}
	if s.manages() {
		s.AMQP.Management = withPort(s.AMQP.Management, "15672")
	}
	if s.AWS.Listen != off {
		s.AWS.Listen = withPort(s.AWS.Listen, "4566")
	}
	s.Admin.Listen = withPort(s.Admin.Listen, "7070")
	return s.checkRemote()
}

// wrongValue finds the first value that cannot be right, and its key in the
// configuration file.
func (s *settings) wrongValue() (key string, err error) {
	for _, c := range []struct {
		key   string
		check func() error
	}{
		{"data", s.checkData},
		{"sync", func() error { _, err := s.syncPolicy(); return err }},
		{"sync-interval", func() error { return checkTime("sync-interval", s.SyncInterval) }},
		{"log", func() error { _, err := s.logLevel(); return err }},
		{"drain", func() error { return checkTime("drain", s.Drain) }},
		{"kafka.listen", func() error { return checkPort("kafka", s.Kafka.Listen) }},
		{"kafka.advertise", func() error { return checkPort("advertise", s.Kafka.Advertise) }},
		{"kafka.partitions", s.checkPartitions},
		{"kafka.rebalance-delay", func() error {
			return checkTime("rebalance-delay", s.Kafka.RebalanceDelay)
		}},
		{"amqp.listen", func() error { return checkPort("amqp", s.AMQP.Listen) }},
		{"amqp.management", func() error { return checkPort("management", s.AMQP.Management) }},
		{"aws.listen", func() error { return checkPort("aws", s.AWS.Listen) }},
		{"aws", func() error { return s.AWS.check() }},
		{"admin.listen", func() error { return checkPort("admin", s.Admin.Listen) }},
	} {
		if err := c.check(); err != nil {
			return c.key, err
		}
	}
	if key, err := s.wrongTopic(); err != nil {
		return key, err
	}
	return s.wrongEntry()
}

func (s *settings) wrongTopic() (key string, err error) {
	seen := map[string]bool{}
	for i, t := range s.Topics {
		_, err := t.document()
		if err == nil && seen[t.Name] {
			err = usage("topic " + t.Name + " is named twice")
		}
		if err != nil {
			return fmt.Sprintf("topics[%d]", i), err
		}
		seen[t.Name] = true
	}
	return "", nil
}

func (s *settings) checkData() error {
	if s.Data == "" {
		return usage("data: a directory is needed")
	}
	return nil
}

func (s *settings) checkPartitions() error {
	if s.Kafka.Partitions < 1 {
		return usage("partitions: at least 1")
	}
	return nil
}

func checkTime(name string, d time.Duration) error {
	switch {
	case d == notATime:
		return usage(name + ": a time is written with its unit: 10s, 500ms, 1m30s")
	case d < 0:
		return usage(name + ": must not be negative")
	}
	return nil
}

// checkPort refuses what is no port in an address that names one.
func checkPort(name, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil // a host alone: the port is the default
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return usage(fmt.Sprintf("%s: %q is no port (0 to 65535) in %q", name, port, addr))
	}
	return nil
}

// checkRemote refuses addresses that other machines can reach, unless they are
// meant: the listeners refuse them too, but only once the data is open.
func (s *settings) checkRemote() error {
	for _, l := range s.faces() {
		if s.AllowRemote || listener.IsLoopback(hostOf(l.addr)) {
			continue
		}
		return usage(fmt.Sprintf("%s: other machines can reach %s, and there are no passwords",
			l.name, l.addr)).
			hint("meant", "--allow-remote, or allow-remote: true").
			hint("not meant", "listen on 127.0.0.1")
	}
	return nil
}

func (s *settings) syncPolicy() (storage.SyncPolicy, error) {
	switch s.Sync {
	case "always":
		return storage.SyncAlways, nil
	case "interval":
		return storage.SyncInterval, nil
	case "never":
		return storage.SyncNever, nil
	}
	return 0, usage("sync: " + quote(s.Sync) + " is none of always, interval, never")
}
