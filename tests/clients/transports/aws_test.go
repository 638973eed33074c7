package transports

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/tidings-io/tidings/transport/aws"
	"github.com/tidings-io/tidings/transport/transporttest"
)

// TestAWS is the suite that every transport passes, against moto. moto keeps nothing over an end, so it
// cannot show what is durable: that is for Tidings' own listener, in package transport/aws.
func TestAWS(t *testing.T) {
	for name, fifo := range map[string]bool{"standard": false, "fifo": true} {
		t.Run(name, func(t *testing.T) {
			e := engines.Moto(t)
			open := func(visible time.Duration) func(t testing.TB) tidings.Transport {
				return func(t testing.TB) tidings.Transport { return openAWS(t, e.Endpoint, fifo, visible) }
			}
			transporttest.Run(t, transporttest.Harness{
				New:    open(5 * time.Second), // a poll whose client has gone takes messages all the same
				Leased: open(2 * time.Second),
				Cut: func(t testing.TB) (tidings.Transport, func()) {
					p := proxyTo(t, e.Endpoint)
					return openAWS(t, "http://"+p.Addr(), fifo, 5*time.Second), p.Cut
				},
				Stall: func(t testing.TB) (tidings.Transport, func() (resume func())) {
					p := proxyTo(t, e.Endpoint)
					return openAWS(t, "http://"+p.Addr(), fifo, 5*time.Second), p.Stall
				},
				PublishRaw: rawToSNS(e.Endpoint, fifo),
				Skip:       motoCannot[name],
				Patience:   time.Minute,
			})
		})
	}
}

// motoCannot is what moto does wrong, and what SNS does not tell, by the names of the suite's tests.
var motoCannot = map[string]map[string]string{"standard": {
	"ManyEventsInOnePublish":      motoIsSlow,
	"TopicsAreNotWhatMessagesSay": rawTellsNoTopic,
}, "fifo": {
	"ManyEventsInOnePublish":      motoIsSlow,
	"TopicsAreNotWhatMessagesSay": rawTellsNoTopic,
	"EqualKeysStayInOrderAmongConsumers": "a poll of moto looks once, when it begins, which message groups are in flight, " +
		"and later hands out messages of groups that another has meanwhile",
}}

const (
	motoIsSlow      = "a thousand messages take moto minutes: it looks through all of a queue for each"
	rawTellsNoTopic = "raw delivery does not tell where a foreign message came through"
)

func proxyTo(t testing.TB, endpoint string) *transporttest.Proxy {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return transporttest.NewProxy(t, u.Host)
}

// closingAWS is a transport whose connections end with it.
type closingAWS struct {
	*aws.Transport
	network *http.Transport
}

func (c closingAWS) Close() error {
	c.network.CloseIdleConnections()
	return nil
}

func openAWS(t testing.TB, endpoint string, fifo bool, visible time.Duration) tidings.Transport {
	t.Helper()
	network := &http.Transport{}
	tr, err := aws.New(aws.Config{AWS: awsConfig(endpoint, network), FIFO: fifo, VisibilityTimeout: visible,
		PollTime: time.Second}) // moto's polls do not see that a message group is free again
	if err != nil {
		t.Fatal(err)
	}
	return closingAWS{tr, network}
}

func awsConfig(endpoint string, network *http.Transport) sdk.Config {
	return sdk.Config{Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: &http.Client{Transport: network},
		Credentials: credentials.NewStaticCredentialsProvider("any", "key", "")}
}

// rawToSNS publishes as a program without the library does.
func rawToSNS(endpoint string, fifo bool) func(context.Context, string, transporttest.Raw) error {
	return func(ctx context.Context, topic string, m transporttest.Raw) error {
		network := &http.Transport{}
		defer network.CloseIdleConnections()
		client := sns.NewFromConfig(awsConfig(endpoint, network))
		arn := "arn:aws:sns:us-east-1:123456789012:" + topic
		body := string(m.Body)
		attributes := map[string]string{"content-type": m.ContentType}
		for name, value := range m.Attributes {
			attributes["ce_"+name] = value
		}
		if !utf8.ValidString(body) || strings.ContainsFunc(body, unicode.IsControl) { // SNS takes text
			body, attributes["Content-Transfer-Encoding"] = base64.StdEncoding.EncodeToString(m.Body), "base64"
		}
		in := &sns.PublishInput{Message: &body, MessageAttributes: map[string]types.MessageAttributeValue{}}
		for name, value := range attributes {
			in.MessageAttributes[name] = types.MessageAttributeValue{DataType: sdk.String("String"), StringValue: &value}
		}
		if fifo {
			arn += ".fifo"
			in.MessageGroupId, in.MessageDeduplicationId = sdk.String("raw"), sdk.String(tidings.NewID())
		}
		in.TopicArn = &arn
		_, err := client.Publish(ctx, in)
		return err
	}
}
