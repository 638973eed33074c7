package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// goSDK is the SDK for Go as an engine: methods and fields have the names of actions and their values.
type goSDK struct{}

func (goSDK) name() string      { return "go" }
func (goSDK) missing() string   { return "" }
func (goSDK) lacks(string) bool { return false }

func (goSDK) open(_ *testing.T, s *server.Server, _ ...string) caller {
	key := credentials.NewStaticCredentialsProvider("any", "key", "")
	clients := map[string]any{
		"sqs": dial(s.SQS, "any", "key"),
		"sns": sns.New(sns.Options{Region: "us-east-1", BaseEndpoint: &s.SQS, Credentials: key}),
		"sts": sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: &s.SQS, Credentials: key}),
	}
	return func(ctx context.Context, service, action string, input in) (out, error) {
		method := reflect.ValueOf(clients[service]).MethodByName(action)
		if !method.IsValid() {
			return nil, fmt.Errorf("%s has no %s", service, action)
		}
		text, err := json.Marshal(input)
		if err != nil {
			return nil, err
		}
		asked := reflect.New(method.Type().In(1).Elem())
		if err := json.Unmarshal(plainBytes.ReplaceAll(text, []byte("$1")), asked.Interface()); err != nil {
			return nil, err
		}
		answer := method.Call([]reflect.Value{reflect.ValueOf(ctx), asked})
		if err, _ := answer[1].Interface().(error); err != nil {
			return nil, refusalOf(err)
		}
		if text, err = json.Marshal(answer[0].Interface()); err != nil {
			return nil, err
		}
		var o out
		return o, json.Unmarshal(text, &o)
	}
}

// refusalOf is an error with the name of its type, if it is one of the service's own.
func refusalOf(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	r := &refusal{Code: api.ErrorCode(), Message: api.ErrorMessage()}
	if of := reflect.TypeOf(api).Elem(); strings.HasSuffix(of.PkgPath(), "/types") {
		r.Type = of.Name()
	}
	return r
}
