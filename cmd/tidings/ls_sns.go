package main

import (
	"context"

	"github.com/tidings-io/tidings/console"
)

// snsTopics is the document of the topics of SNS.
type snsTopics struct {
	Topics []snsTopic `json:"sns"`
}

// snsTopicsAmong takes the topics of SNS out of a list of exchanges, and returns both.
func snsTopicsAmong(all []console.Exchange) (exchanges []console.Exchange, topics []snsTopic) {
	exchanges, topics = []console.Exchange{}, []snsTopic{}
	for _, x := range all {
		if x.Type == snsType {
			topics = append(topics, snsTopic{x.Name, snsKind(x.Name), -1, -1})
		} else {
			exchanges = append(exchanges, x)
		}
	}
	return exchanges, topics
}

// countSubscriptions fills in how many subscriptions topics have; a server that does not listen for AWS does not
// say it.
func (c *apiClient) countSubscriptions(ctx context.Context, topics []snsTopic) {
	for i := range topics {
		if d, err := c.SNSTopic(ctx, topics[i].Name); err == nil {
			topics[i] = d.snsTopic
		}
	}
}

func (a *app) lsSNS(ctx context.Context, c client) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	exchanges, err := api.Exchanges(ctx)
	if err != nil {
		return err
	}
	_, rows := snsTopicsAmong(exchanges)
	api.countSubscriptions(ctx, rows)
	if len(rows) == 0 {
		a.note("no topics of SNS yet. Make one:  tidings create sns alerts")
	}
	return render(a, listing[snsTopic]{
		columns: snsColumns, rows: rows, doc: snsTopics{rows}, name: func(t snsTopic) string { return t.Name },
	})
}

var snsColumns = []column[snsTopic]{
	{title: "NAME", show: func(t snsTopic) string { return t.Name }},
	{title: "TYPE", show: func(t snsTopic) string { return t.Type }},
	{title: "SUBSCRIPTIONS", right: true, show: func(t snsTopic) string { return count(t.Confirmed) },
		raw: func(t snsTopic) string { return known(t.Confirmed) }},
	{title: "PENDING", right: true, show: func(t snsTopic) string { return count(t.Pending) },
		raw: func(t snsTopic) string { return known(t.Pending) }},
}
