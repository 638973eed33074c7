package aws_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/aws"
)

type placed struct{ Order string }

var orderPlaced = tidings.Define("orders", "shop.order.placed.v1",
	tidings.KeyBy(func(p placed) string { return p.Order }))

// Publishes an event and reads it. On AWS the SDK's package config loads what is made by hand here.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := aws.New(aws.Config{FIFO: true, AWS: sdk.Config{
		Region:       "us-east-1",
		BaseEndpoint: sdk.String(os.Getenv("AWS_ENDPOINT_URL")), // such as http://localhost:4566
		Credentials: sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
			return sdk.Credentials{AccessKeyID: "any", SecretAccessKey: "key"}, nil
		}),
	}})
	if err != nil {
		log.Fatal(err)
	}
	c, err := t.Subscribe(ctx, tidings.Subscription{Group: "billing", Topics: []string{"orders"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)

	e := orderPlaced.New(placed{Order: "o-1"})
	tidings.Stamp(ctx, "shop", &e)
	if err := t.Publish(ctx, e); err != nil { // nil: SNS keeps it
		log.Fatal(err)
	}
	ds, err := c.Receive(ctx, 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range ds {
		p, err := orderPlaced.Decode(d.Event)
		fmt.Println(p.Order, err)
		if err := d.Ack(ctx); err != nil {
			log.Fatal(err)
		}
	}
}
