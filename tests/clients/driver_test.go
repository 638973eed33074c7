package clients

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// driver makes one client do what the scenarios ask for.
type driver interface {
	// name is the client and its version, as one types it: "franz-go 1.22.2".
	name() string
	// missing says why the client cannot be run on this machine, "" if it can.
	missing() string
	// lacks has a reason for each scenario that is beyond the client.
	lacks() map[string]string
	// open makes a producer that waits for all acknowledgements.
	open(seed string, o produceOptions) (producer, error)
	// read reads n records from the start of all partitions.
	read(ctx context.Context, seed, topic string, n int) ([]record, error)
	// admin makes an admin client.
	admin(ctx context.Context, seed string) (admin, error)
	// member makes the process of a member of a consumer group, see member_test.go.
	member(o memberOptions) (memberProcess, error)
}

type produceOptions struct {
	compression string // none, gzip, snappy, lz4 or zstd
	idempotent  bool   // if the client can
}

// producer is a producer that stays open.
type producer interface {
	// send returns when all records are acknowledged.
	send(ctx context.Context, records []record) error
	close() error
}

// admin does what administrators do. Errors that the broker answered are
// apiErrors; what the client has no call for is errors.ErrUnsupported.
type admin interface {
	createTopic(ctx context.Context, topic string, partitions int, config map[string]string) error
	deleteTopic(ctx context.Context, topic string) error
	addPartitions(ctx context.Context, topic string, total int) error
	topicConfig(ctx context.Context, topic string) (map[string]string, error)
	// offsetsAt returns the first offset at or after the time, by partition.
	offsetsAt(ctx context.Context, topic string, at time.Time) (map[int32]int64, error)
	listGroups(ctx context.Context) ([]string, error)
	describeGroup(ctx context.Context, group string) (groupState, error)
	deleteGroup(ctx context.Context, group string) error
	// deleteRecords deletes the records of partition 0 before the offset.
	deleteRecords(ctx context.Context, topic string, before int64) error
	close()
}

type groupState struct {
	state   string
	members int
}

// apiError is an error code of Kafka's protocol.
type apiError int16

func (e apiError) Error() string { return fmt.Sprintf("Kafka error %d", int16(e)) }

// The codes that the scenarios provoke.
const (
	unknownTopic  apiError = 3
	topicExists   apiError = 36
	badPartitions apiError = 37
	nonEmptyGroup apiError = 68
	groupNotFound apiError = 69
)

const sessionTimeout = 6 * time.Second
const heartbeatEvery = 500 * time.Millisecond

// noAdmin is an admin that can do nothing.
type noAdmin struct{}

func (noAdmin) createTopic(context.Context, string, int, map[string]string) error {
	return errors.ErrUnsupported
}
func (noAdmin) deleteTopic(context.Context, string) error        { return errors.ErrUnsupported }
func (noAdmin) addPartitions(context.Context, string, int) error { return errors.ErrUnsupported }
func (noAdmin) topicConfig(context.Context, string) (map[string]string, error) {
	return nil, errors.ErrUnsupported
}
func (noAdmin) offsetsAt(context.Context, string, time.Time) (map[int32]int64, error) {
	return nil, errors.ErrUnsupported
}
func (noAdmin) listGroups(context.Context) ([]string, error) { return nil, errors.ErrUnsupported }
func (noAdmin) describeGroup(context.Context, string) (groupState, error) {
	return groupState{}, errors.ErrUnsupported
}
func (noAdmin) deleteGroup(context.Context, string) error          { return errors.ErrUnsupported }
func (noAdmin) deleteRecords(context.Context, string, int64) error { return errors.ErrUnsupported }
func (noAdmin) close()                                             {}
