package main

import (
	"context"
	"slices"

	"github.com/tidings-io/tidings/console"
)

// thing is one row of a list of everything. What a kind does not have is -1.
type thing struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
	Readers int64  `json:"readers"`
	Waiting int64  `json:"waiting"`
}

// everything is the document of a list of everything; without the exchanges that are
// always there and lead nowhere.
type everything struct {
	Topics    []console.Topic    `json:"topics"`
	Queues    []console.Queue    `json:"queues"`
	Exchanges []console.Exchange `json:"exchanges"`
	SNS       []snsTopic         `json:"sns"`
	Groups    []console.Group    `json:"groups"`
}

func (a *app) lsAll(ctx context.Context, c client) error {
	all, err := listAll(ctx, c)
	if err != nil {
		return err
	}
	if api, none := queuesOf(c); none == nil {
		api.countSubscriptions(ctx, all.SNS)
	}
	rows := all.things()
	if len(rows) == 0 {
		a.note(noTopics)
	}
	return render(a, listing[thing]{
		columns: thingColumns, rows: rows, doc: all, name: uniqueNames(rows),
	})
}

// listAll lists what there is; how many subscriptions topics of SNS have is not known.
func listAll(ctx context.Context, c client) (all everything, err error) {
	topics, err := c.Topics(ctx)
	if err != nil {
		return all, err
	}
	groups, err := c.Groups(ctx)
	if err != nil {
		return all, err
	}
	all = everything{Topics: notNil(topics), Queues: []console.Queue{}, Exchanges: []console.Exchange{},
		SNS: []snsTopic{}, Groups: notNil(groups)}
	api, err := queuesOf(c)
	if err != nil {
		return all, nil // Kafka has none
	}
	queues, err := api.Queues(ctx)
	if err != nil {
		return all, err
	}
	exchanges, err := api.Exchanges(ctx)
	all.Queues = notNil(queues)
	exchanges, all.SNS = snsTopicsAmong(exchanges)
	all.Exchanges = slices.DeleteFunc(exchanges, func(x console.Exchange) bool {
		return x.BuiltIn && x.BoundTo == 0
	})
	return all, err
}

func (e *everything) things() (rows []thing) {
	for _, t := range e.Topics {
		rows = append(rows, thing{"topic", t.Name, t.Records, t.Bytes, int64(t.Groups), worstLag(t)})
	}
	for _, q := range e.Queues {
		rows = append(rows, thing{"queue", q.Name, q.Ready + q.Leased, q.Bytes, int64(q.Subscriptions), q.Ready})
	}
	for _, x := range e.Exchanges {
		rows = append(rows, thing{"exchange", x.Name, -1, -1, int64(x.BoundTo), -1})
	}
	for _, t := range e.SNS {
		readers := t.Confirmed
		if t.Pending > 0 {
			readers += t.Pending
		}
		rows = append(rows, thing{"sns", t.Name, -1, -1, readers, -1})
	}
	for _, g := range e.Groups {
		rows = append(rows, thing{"group", g.Name, -1, -1, int64(g.Members), g.Lag})
	}
	return rows
}

// uniqueNames writes KIND/NAME where several kinds have the name, so that every command
// takes it.
func uniqueNames(rows []thing) func(thing) string {
	times := map[string]int{}
	for _, r := range rows {
		times[r.Name]++
	}
	return func(t thing) string {
		if kind, _ := splitKind(t.Name); times[t.Name] > 1 || kind != "" {
			return t.Kind + "/" + t.Name
		}
		return t.Name
	}
}

var thingColumns = []column[thing]{
	{title: "NAME", show: func(t thing) string { return t.Name }},
	{title: "KIND", show: func(t thing) string { return t.Kind }},
	{title: "RECORDS", right: true, show: func(t thing) string { return count(t.Records) },
		raw: func(t thing) string { return known(t.Records) }},
	{title: "SIZE", right: true, show: func(t thing) string { return size(t.Bytes) },
		raw: func(t thing) string { return known(t.Bytes) }},
	{title: "READERS", right: true, show: func(t thing) string { return count(t.Readers) },
		raw: func(t thing) string { return known(t.Readers) }},
	{title: "WAITING", right: true, show: func(t thing) string { return count(t.Waiting) },
		raw: func(t thing) string { return known(t.Waiting) }},
}

func (a *app) lsQueues(ctx context.Context, c client) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	rows, err := api.Queues(ctx)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		a.note("no queues yet. Make one:  tidings create queue mail")
	}
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = rows[i].Name
	}
	return render(a, listing[console.Queue]{
		columns: queueColumns(api.outboxes(ctx, names)), rows: rows, doc: console.Queues{Queues: notNil(rows)},
		name: func(q console.Queue) string { return q.Name },
	})
}

// queueColumns are those of a queue; the last says what queues wait for that are not for everyone.
func queueColumns(outboxes map[string]string) []column[console.Queue] {
	return append(slices.Clone(plainQueueColumns), column[console.Queue]{title: "FOR",
		show: func(q console.Queue) string { return orDash(outboxes[q.Name]) }})
}

var plainQueueColumns = []column[console.Queue]{
	{title: "NAME", show: func(q console.Queue) string { return q.Name }},
	{title: "DURABLE", show: func(q console.Queue) string { return yesNo(q.Durable) }},
	{title: "READY", right: true, show: func(q console.Queue) string { return count(q.Ready) },
		raw: func(q console.Queue) string { return plain(q.Ready) }},
	{title: "LEASED", right: true, show: func(q console.Queue) string { return count(q.Leased) },
		raw: func(q console.Queue) string { return plain(q.Leased) }},
	{title: "CONSUMERS", right: true, show: func(q console.Queue) string { return plain(q.Subscriptions) }},
	{title: "SIZE", right: true, show: func(q console.Queue) string { return size(q.Bytes) },
		raw: func(q console.Queue) string { return plain(q.Bytes) }},
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) lsExchanges(ctx context.Context, c client) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	rows, err := api.Exchanges(ctx)
	if err != nil {
		return err
	}
	rows, _ = snsTopicsAmong(rows)
	return render(a, listing[console.Exchange]{
		columns: exchangeColumns, rows: rows, doc: console.Exchanges{Exchanges: notNil(rows)},
		name: func(x console.Exchange) string { return x.Name },
	})
}

var exchangeColumns = []column[console.Exchange]{
	{title: "NAME", show: func(x console.Exchange) string { return x.Name }},
	{title: "TYPE", show: func(x console.Exchange) string { return x.Type }},
	{title: "DURABLE", show: func(x console.Exchange) string { return yesNo(x.Durable) }},
	{title: "BINDINGS", right: true, show: func(x console.Exchange) string { return count(int64(x.BoundTo)) },
		raw: func(x console.Exchange) string { return plain(x.BoundTo) }},
}
