package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidings-io/tidings/wire/aws/notify"
)

// subscribeFlags say what a subscription gets of a topic of SNS, and as what.
type subscribeFlags struct {
	raw       bool
	filter    string
	scope     string // attributes or body
	deadQueue string
}

var filterScopes = []string{"attributes", "body"}

func (f *subscribeFlags) add(fs *pflag.FlagSet) {
	fs.BoolVar(&f.raw, "raw", f.raw, "of SNS: the messages themselves, and not the documents around them")
	fs.StringVar(&f.filter, "filter", "", "of SNS: only what matches this filter policy, as JSON")
	fs.Var(&choice{&f.scope, filterScopes}, "filter-scope",
		"of SNS: what the policy is about: attributes (default) or body")
}

func completeScopes(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("filter-scope",
		cobra.FixedCompletions(filterScopes, cobra.ShellCompDirectiveNoFileComp))
}

// subscribing is a subscription as it is asked for.
type subscribing struct {
	topic    string
	protocol string
	endpoint string // of protocol sqs the name of the queue
	flags    subscribeFlags
}

// make subscribes. pending says that the endpoint must confirm it.
func (s *subscribing) make(ctx context.Context, do actions) (pending bool, err error) {
	in := map[string]any{"TopicArn": snsARN(s.topic), "Protocol": s.protocol, "Endpoint": s.endpoint,
		"ReturnSubscriptionArn": true}
	if in["Attributes"], err = s.flags.attributes(ctx, do); err != nil {
		return false, err
	}
	if s.protocol == protocolSQS {
		if in["Endpoint"], err = do.queueARN(ctx, s.endpoint); err != nil {
			return false, err
		}
	}
	var out struct{ SubscriptionArn string }
	if err := do.sns(ctx, "Subscribe", in, &out); err != nil {
		return false, s.orCreate(err)
	}
	made, err := do.subscription(ctx, listed{SubscriptionArn: out.SubscriptionArn})
	return made.Pending, err
}

// orCreate adds to a missing topic how it is made.
func (s *subscribing) orCreate(err error) error {
	if isNotFound(err) {
		return notFound(kindTitle("sns"), s.topic).hint("create it", "tidings create sns "+s.topic).
			hint("see all", "tidings ls sns")
	}
	return err
}

func (f *subscribeFlags) attributes(ctx context.Context, do actions) (map[string]string, error) {
	all := map[string]string{}
	if f.raw {
		all["RawMessageDelivery"] = "true"
	}
	if f.filter != "" {
		all["FilterPolicy"] = f.filter
	}
	switch {
	case f.scope != "" && f.filter == "":
		return nil, usage("--filter-scope says what --filter is about, which is missing")
	case f.scope == "body":
		all["FilterPolicyScope"] = scopeBody
	}
	if f.deadQueue == "" {
		return all, nil
	}
	arn, err := do.queueARN(ctx, nameOf("queue", f.deadQueue))
	if err != nil {
		return nil, err
	}
	policy, err := json.Marshal(map[string]string{"deadLetterTargetArn": arn})
	all["RedrivePolicy"] = string(policy)
	return all, err
}

// find is the subscription that leads to the same place; nil: there is none.
func (s *subscribing) find(ctx context.Context, do actions) (*listed, error) {
	all, err := do.subscriptions(ctx, s.topic)
	if err != nil {
		return nil, s.orCreate(err)
	}
	shown := shownURL(s.protocol, s.endpoint)
	for _, l := range all {
		endpoint := l.Endpoint
		if l.Protocol == protocolSQS {
			endpoint = nameInARN(endpoint) // its queue may be gone, and with it what says its ARN
		}
		if l.Protocol == s.protocol && endpoint == shown {
			return &l, nil
		}
	}
	return nil, nil
}

// shownURL is a URL as lists have it: without its password. What is no URL stays as it is.
func shownURL(protocol, endpoint string) string {
	if e, err := notify.ParseEndpoint(protocol, endpoint); err == nil {
		return e.Shown()
	}
	return endpoint
}
