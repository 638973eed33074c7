package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tidings-io/tidings/console"
)

// awsError is an error as AWS's JSON protocol tells it.
type awsError struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
}

// AWS makes an action of a service, "sns" or "sqs", and fills out with its answer.
func (c *apiClient) AWS(ctx context.Context, service, action string, in, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, apiTimeout, errNoAnswer)
	defer cancel()
	req, err := c.request(ctx, call{http.MethodPost, "/aws/" + service + "/" + action, in})
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.netFailure(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
	if err != nil {
		return c.netFailure(ctx, err)
	}
	if resp.StatusCode < 300 {
		if err := json.Unmarshal(body, out); err != nil {
			return c.foreign(err)
		}
		return nil
	}
	var told awsError
	var problem console.ErrorDocument
	if json.Unmarshal(body, &problem) == nil && problem.Error.Code != "" {
		return problemFailure(problem.Error) // of who stands before AWS
	}
	if json.Unmarshal(body, &told) != nil || told.Type == "" {
		return c.foreign(fmt.Errorf("status %s", resp.Status))
	}
	return awsFailure(told)
}

// awsFailure gives what AWS says its exit code.
func awsFailure(e awsError) *failure {
	_, code, _ := strings.Cut(e.Type, "#")
	f := &failure{exit: exitUsage, code: code, msg: e.Message}
	switch code {
	case "QueueDoesNotExist", "NotFoundException", "ResourceNotFound", "ResourceNotFoundException":
		f.exit = exitNotFound
	case "QueueNameExists":
		f.exit = exitConflict
	case "InternalError", "ServiceUnavailable", "RequestThrottled", "ThrottledException", "OverLimit":
		f.exit = exitFailed
	}
	return f
}
