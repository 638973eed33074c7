package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// snsFlags are the attributes of a topic of SNS as flags, and as the configuration file has them.
type snsFlags struct {
	contentDedup bool
	displayName  string
	attributes   map[string]string
	tags         map[string]string
}

func (a *app) createSNSCommand() *cobra.Command {
	var f snsFlags
	var attributes, tags []string
	cmd := &cobra.Command{
		Use:   "sns NAME",
		Short: "Create a topic of SNS",
		Long: `Create a topic as CreateTopic of SNS does: what is published to it goes to all of its
subscriptions (tidings bind sns/NAME TO), and nowhere without any. One whose name ends with .fifo
keeps the messages of a group in order and takes each once. The flags are its attributes; --attribute
gives any of them. A topic that is there with the same is no error.`,
		Example: "  tidings create sns alerts --display-name Alerts --tag team=a\n" +
			"  tidings create sns orders.fifo --content-dedup",
		Args:              between(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.with(func(ctx context.Context, c client, args []string) (err error) {
			if f.attributes, err = pairs("attribute", attributes); err != nil {
				return err
			}
			if f.tags, err = pairs("tag", tags); err != nil {
				return err
			}
			return a.createSNS(ctx, c, nameOf("sns", args[0]), f)
		}),
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.contentDedup, "content-dedup", false,
		"of a FIFO topic: equal messages are published once in five minutes")
	fs.StringVar(&f.displayName, "display-name", "", "name for people")
	fs.StringArrayVar(&attributes, "attribute", nil, "any attribute, NAME=VALUE; repeatable")
	fs.StringArrayVar(&tags, "tag", nil, "tag, NAME=VALUE; repeatable")
	a.addTarget(cmd)
	return cmd
}

func (a *app) createSNS(ctx context.Context, c client, name string, f snsFlags) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	arn, err := f.create(ctx, api.AWS, name)
	if err != nil {
		return err
	}
	a.note("%s %s is there: %s", kindTitle("sns"), name, arn)
	return nil
}

// create makes the topic. Any attribute goes before a flag.
func (f snsFlags) create(ctx context.Context, do actions, name string) (arn string, err error) {
	attributes := map[string]string{}
	if strings.HasSuffix(name, ".fifo") {
		attributes["FifoTopic"] = "true"
	}
	if f.contentDedup {
		attributes["ContentBasedDeduplication"] = "true"
	}
	if f.displayName != "" {
		attributes["DisplayName"] = f.displayName
	}
	maps.Copy(attributes, f.attributes)
	tags := []map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f.tags)) {
		tags = append(tags, map[string]string{"Key": name, "Value": f.tags[name]})
	}
	var out struct{ TopicArn string }
	in := map[string]any{"Name": name, "Attributes": attributes, "Tags": tags}
	err = do.sns(ctx, "CreateTopic", in, &out)
	return out.TopicArn, err
}
