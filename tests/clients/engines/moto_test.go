package engines

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// TestMotoServesAgainAfterSIGKILLAndHasForgotten is what there is to promise: moto keeps nothing.
func TestMotoServesAgainAfterSIGKILLAndHasForgotten(t *testing.T) {
	began := time.Now()
	m := Moto(t)
	ready := time.Since(began)
	client := sqs.New(sqs.Options{Region: "us-east-1", BaseEndpoint: &m.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("any", "key", "")})
	orders := aws.String("orders")
	if _, err := client.CreateQueue(bounded(t), &sqs.CreateQueueInput{QueueName: orders}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetQueueUrl(bounded(t), &sqs.GetQueueUrlInput{QueueName: orders}); err != nil {
		t.Fatal(err)
	}
	m.Kill()
	t.Logf("moto was ready in %v, and after SIGKILL in %v", ready, m.Restart())
	_, err := client.GetQueueUrl(bounded(t), &sqs.GetQueueUrlInput{QueueName: orders})
	if want := new(types.QueueDoesNotExist); !errors.As(err, &want) {
		t.Errorf("got %v, want that there is no such queue", err)
	}
}
