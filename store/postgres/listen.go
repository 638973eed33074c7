package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidings-io/tidings/outbox"
)

// listener is a connection of its own that hears of commits.
type listener struct{ conn *pgx.Conn }

// closeWithin bounds the farewell of a connection.
const closeWithin = 5 * time.Second

// listenTo takes a connection out of the pool for as long as somebody waits for what a channel tells.
func (s *Store) listenTo(ctx context.Context, channel string) (outbox.Waker, error) {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l := &listener{pooled.Hijack()}
	if _, err := l.conn.Exec(ctx, "listen "+channel); err != nil {
		return nil, fmt.Errorf("listen: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

// Wait returns after notifications. A time that has passed leaves the connection as it is.
func (l *listener) Wait(ctx context.Context, atMost time.Duration) error {
	if err := l.notified(ctx, atMost); err != nil {
		return err
	}
	return ctx.Err()
}

// notified takes one notification, and then those that are there already: one look answers them all.
func (l *listener) notified(ctx context.Context, atMost time.Duration) error {
	for {
		short, cancel := context.WithTimeout(ctx, atMost)
		_, err := l.conn.WaitForNotification(short)
		passed := short.Err() != nil
		cancel()
		switch {
		case passed:
			return nil
		case err != nil:
			return fmt.Errorf("listen: %w", err)
		}
		atMost = time.Millisecond
	}
}

func (l *listener) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	return l.conn.Close(ctx)
}
