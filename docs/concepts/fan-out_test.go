package concepts_test

import (
	"context"
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/aws"
)

func Example_fanOut() {
	transport, _, end := memory()
	defer end()
	done := make(chan string, 2)
	// page {
	// Two groups read one topic. Each has its own copy of every event, its own pace, its own failures.
	mail, report := greets("mail", transport, done), greets("report", transport, done)
	// page }
	stop := running(mail, report)
	shop := tidings.NewService("shop", transport)
	check(shop.Publish(context.Background(), OrderPlaced.New(Order{"o-1", "ann", 990})))
	fmt.Println(<-done)
	fmt.Println(<-done)
	stop()
	// Unordered output:
	// mail: heard of o-1
	// report: heard of o-1
}

// page {
// The same on SNS and SQS: a topic is an SNS topic, a group a queue that has subscribed to it.
func onAWS(account sdk.Config) (tidings.Transport, error) {
	return aws.New(aws.Config{AWS: account, FIFO: true})
}

// page }

func Example_fanOutOnAWS() {
	t, err := onAWS(sdk.Config{Region: "eu-central-1"}) // nothing is asked of it
	check(err)
	fmt.Println(t.Capabilities().Order)
	// Output: per key
}
