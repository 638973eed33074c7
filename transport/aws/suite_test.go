package aws

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/transporttest"
)

func TestStandardTransport(t *testing.T) {
	transporttest.Run(t, newRig(t).harness(false))
}

func TestFIFOTransport(t *testing.T) {
	transporttest.Run(t, newRig(t).harness(true))
}

// closing is a client whose connections end with it: the SDK leaves that to who made them.
type closing struct {
	*Transport
	network *network
}

func (c closing) Close() error {
	c.network.under.CloseIdleConnections()
	return nil
}

func (r *rig) harness(fifo bool) transporttest.Harness {
	dial := func(t testing.TB, addr string, visible time.Duration) tidings.Transport {
		own := &rig{TB: t, addr: addr}
		tr, n := own.transport(Config{FIFO: fifo, VisibilityTimeout: visible})
		return closing{tr, n}
	}
	raw, _ := r.transport(Config{FIFO: fifo})
	// What a connection took and lost on its way comes again when its time is over: a short one.
	return transporttest.Harness{
		New:    func(t testing.TB) tidings.Transport { return dial(t, r.addr, 5*time.Second) },
		Leased: func(t testing.TB) tidings.Transport { return dial(t, r.addr, 2*time.Second) },
		Cut: func(t testing.TB) (tidings.Transport, func()) {
			p := transporttest.NewProxy(t, r.addr)
			return dial(t, p.Addr(), 5*time.Second), p.Cut
		},
		Stall: func(t testing.TB) (tidings.Transport, func() (resume func())) {
			p := transporttest.NewProxy(t, r.addr)
			return dial(t, p.Addr(), 5*time.Second), p.Stall
		},
		Parallel: true,
		Kill:     func(testing.TB) { r.kill() },
		Restart:  func(testing.TB) { r.start() },
		PublishRaw: func(ctx context.Context, topic string, m transporttest.Raw) error {
			return raw.publishRaw(ctx, topic, m)
		},
		Quiet: 100 * time.Millisecond,
		Skip: map[string]string{
			"TopicsAreNotWhatMessagesSay": "raw delivery does not tell where a foreign message came through",
		},
	}
}

// publishRaw publishes as programs do that know of SNS alone.
func (t *Transport) publishRaw(ctx context.Context, topic string, m transporttest.Raw) error {
	arn, err := t.places.topic(ctx, topic)
	if err != nil {
		return err
	}
	attributes := map[string]string{attrContentType: m.ContentType}
	for name, value := range m.Attributes {
		attributes["ce_"+name] = value
	}
	body := string(m.Body)
	if !utf8.ValidString(body) || strings.ContainsFunc(body, refused) {
		body, attributes[attrEncoding] = base64.StdEncoding.EncodeToString(m.Body), "base64"
	}
	in := &sns.PublishInput{TopicArn: &arn, Message: &body, MessageAttributes: map[string]snstypes.MessageAttributeValue{}}
	for name, value := range attributes {
		in.MessageAttributes[name] = snstypes.MessageAttributeValue{DataType: sdk.String(stringType), StringValue: &value}
	}
	if t.config.FIFO {
		in.MessageGroupId, in.MessageDeduplicationId = sdk.String("raw"), sdk.String(tidings.NewID())
	}
	_, err = t.sns.Publish(ctx, in)
	return err
}
