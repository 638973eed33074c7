package aws

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// A FIFO topic with an ArchivePolicy has an archive: a topic of the broker with one partition, which Kafka
// clients can read. Each notice is written there in the commit of its fan-out, in the order of the topic,
// with all that a replay needs.

const attrBeginning = "BeginningArchiveTime"

const (
	archivePrefix = "sns.archive." // of its name; its argument sns is the id of the topic
	archiveHeader = "sns.notice"   // of a record: what is kept of the notice beside its message
	// archiveBatch is what an archive takes in one batch, in bytes: whatever a commit can hold.
	archiveBatch  = 256 << 20
	maxKafkaName  = 249
	maxArchiveAge = 365 // days
)

// archiveName is that of the archive of a topic, whose own name may be too long for it.
func archiveName(name, id string) string {
	if len(archivePrefix)+len(name) > maxKafkaName {
		name = id
	}
	return archivePrefix + name
}

// parseArchive is for how long messages are kept; 0: they are not.
func parseArchive(text string) (time.Duration, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return 0, reason("ArchivePolicy: Unable to parse JSON")
	}
	if len(doc) == 0 {
		return 0, nil
	}
	raw, ok := doc["MessageRetentionPeriod"]
	if !ok {
		return 0, reason("ArchivePolicy: JSON is missing required fields")
	}
	days, err := strconv.Atoi(strings.Trim(string(raw), `"`)) // a number, or the text of one
	if err != nil || days < 1 || days > maxArchiveAge {
		return 0, reason("ArchivePolicy: MessageRetentionPeriod value is invalid")
	}
	return time.Duration(days) * 24 * time.Hour, nil
}

func checkArchive(text string) error {
	_, err := parseArchive(text)
	return err
}

// keeps is for how long the topic keeps its messages; 0: it does not.
func (d *declaredTopic) keeps() time.Duration {
	keep, _ := parseArchive(d.attributes[attrArchive]) // it was checked; none says nothing
	return keep
}

// archiveOf is the archive of a topic; nil: it has none, or somebody has deleted it.
func (t *Topics) archiveOf(p *topic) *broker.Topic {
	a := p.archive.Load()
	if a == nil {
		return nil
	}
	if _, err := t.b.TopicByID(a.ID()); err != nil {
		return nil
	}
	return a
}

// beginning is the earliest time of which an archive has messages.
func (t *Topics) beginning(a *broker.Topic) time.Time {
	kept := t.config.Now().Add(-a.Config().RetentionTime)
	if kept.Before(a.Created()) {
		return a.Created()
	}
	return kept.Truncate(time.Millisecond).UTC()
}

// timeText is a time as attributes have it.
func timeText(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

// madeArchive finds the archive of the topic with an id; nil: there is none.
func (t *Topics) madeArchive(name, id string) *broker.Topic {
	a, err := t.b.Topic("", archiveName(name, id))
	if err != nil {
		return nil
	}
	if of, _, _ := a.Args().Text(argumentSNS); of != id {
		return nil
	}
	return a
}

// archiveFor makes the archive of a topic that is to keep its messages, or has the one that it has keep
// them for another time. Called in a turn.
func (t *Topics) archiveFor(ctx context.Context, name, id string, has *broker.Topic, keep time.Duration) (
	*broker.Topic, error) {
	config := broker.TopicConfig{RetentionTime: keep, BatchBytes: archiveBatch}
	switch {
	case keep == 0:
		return nil, nil
	case has != nil && has.Config().RetentionTime == keep:
		return has, nil
	case has != nil:
		return has, t.b.ChangeTopic(ctx, has, config)
	}
	if left := t.madeArchive(name, id); left != nil { // a crash has left it, after its policy had gone
		if err := t.b.DeleteTopicByID(ctx, left.ID()); err != nil {
			return nil, err
		}
	}
	a, err := t.b.CreateTopic(ctx, broker.TopicSpec{Name: archiveName(name, id), Config: config,
		Args: broker.Args{{Name: argumentSNS, Value: id}}})
	if broker.KindOf(err) == broker.Exists {
		return nil, badParameter("ArchivePolicy Reason: a topic of Kafka has the name %s", archiveName(name, id))
	}
	return a, err
}

// useArchive has a topic keep its messages there from now on; nil: nowhere, and what it has kept goes.
// Called in a turn.
func (t *Topics) useArchive(ctx context.Context, p *topic, a *broker.Topic) error {
	was := p.archive.Load()
	if was == a {
		return nil
	}
	done, err := p.inOrder(ctx)
	if err != nil {
		return err
	}
	p.archive.Store(a)
	done()
	if a != nil || was == nil {
		return nil
	}
	if err := t.endReplays(p); err != nil {
		return err
	}
	if err := t.b.DeleteTopicByID(ctx, was.ID()); err != nil && broker.KindOf(err) != broker.NotFound {
		return err
	}
	return nil
}

// restoreArchives makes archives that are missing, and deletes those that are nobody's: of what a crash
// has left half done.
func (t *Topics) restoreArchives() error {
	known := map[*broker.Topic]bool{}
	for _, p := range t.all() {
		d := p.declared()
		a, err := t.archiveFor(t.life, p.name(), p.id, p.archive.Load(), d.keeps())
		if err != nil {
			t.config.Logger.Error("a topic keeps no archive", "topic", p.name(), "error", err)
			continue
		}
		p.archive.Store(a)
		known[a] = true
	}
	for _, a := range t.b.Topics("") {
		_, made, _ := a.Args().Text(argumentSNS)
		if known[a] || !made || !strings.HasPrefix(a.Name().Name, archivePrefix) {
			continue
		}
		if err := t.b.DeleteTopicByID(t.life, a.ID()); err != nil {
			return err
		}
	}
	return nil
}

// archived is the notice as an archive has it: for Kafka clients the message, its group as the key, and its
// attributes as headers.
func (n *notice) archived() broker.QueueRecord {
	rec := n.record()
	p := properties{id: n.id, attributes: map[string]messageAttribute{}}
	maps.Copy(p.attributes, n.attributes)
	p.attributes[archiveHeader] = messageAttribute{DataType: "Binary", BinaryValue: rec.Props}
	return broker.QueueRecord{Key: n.group, Format: broker.PropsSQS, Props: p.append(nil), Body: rec.Body}
}

// readArchived reads what archived wrote.
func (t *Topics) readArchived(rec *broker.Record) (notice, error) {
	for _, h := range rec.Headers {
		if h.Key == archiveHeader {
			return t.readNotice(&broker.QueueRecord{Group: string(rec.Key), Format: broker.PropsNotice,
				Props: h.Value, Body: rec.Value})
		}
	}
	return notice{}, errProps
}
