package aws

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/tidings-io/tidings/broker"
)

// Bounds of move tasks.
const (
	maxMoveRate = 500 // messages a second
	maxMoveList = 10  // tasks of one queue that are kept, and listed
)

type startMoveTaskInput struct {
	SourceArn                    string
	DestinationArn               *string
	MaxNumberOfMessagesPerSecond *int32
}

type startMoveTaskOutput struct {
	TaskHandle string
}

// startMessageMoveTask begins to move what waits in a dead letter queue: to one queue, or each message to
// the one that it came from. It is on disk when it is answered.
func (s *Server) startMessageMoveTask(c *call, in *startMoveTaskInput) (*startMoveTaskOutput, error) {
	from, err := s.queueInARN("SourceArn", in.SourceArn)
	if err != nil {
		return nil, err
	}
	if !s.takesDeadLetters(from) {
		return nil, errorf(invalidParameter, "Source queue must be configured as a Dead Letter Queue.")
	}
	t := moveTask{Source: from.Name().Name, Queue: from.ID(), ToMove: from.Stats().Ready}
	if in.DestinationArn != nil {
		if t.Target, err = s.moveTarget(from, *in.DestinationArn); err != nil {
			return nil, err
		}
	}
	if n := in.MaxNumberOfMessagesPerSecond; n != nil {
		if *n < 1 || *n > maxMoveRate {
			return nil, errorf(invalidParameter, "Value for parameter MaxNumberOfMessagesPerSecond is invalid. "+
				"Reason: You must enter a number that's between 1 and %d.", maxMoveRate)
		}
		t.Rate = *n
	}
	id, err := s.mover.start(c.ctx, t)
	if err != nil {
		return nil, err
	}
	return &startMoveTaskOutput{s.moveHandle(t.Source, id)}, nil
}

// moveTarget is the name of the one queue that messages move to.
func (s *Server) moveTarget(from *broker.Queue, arn string) (string, error) {
	to, err := s.queueInARN("DestinationArn", arn)
	if err != nil {
		return "", err
	}
	name, source := to.Name().Name, from.Name().Name
	switch {
	case name == source:
		return "", errorf(invalidParameter, "Source queue arn and destination queue arn cannot be the same.")
	case strings.HasSuffix(name, fifoSuffix) != strings.HasSuffix(source, fifoSuffix):
		return "", errorf(invalidParameter, "The source queue and destination queue must be of the same queue "+
			"type.")
	}
	return name, nil
}

// queueInARN finds the queue that a parameter names.
func (s *Server) queueInARN(parameter, arn string) (*broker.Queue, error) {
	if arn == "" && parameter == "SourceArn" {
		return nil, missing(parameter)
	}
	if !isARN(arn) || !strings.HasPrefix(arn, "arn:aws:sqs:") {
		return nil, errorf(invalidParameter, "You must use this format to specify the %s: "+
			"arn:<partition>:<service>:<region>:<account-id>:<resource-id>", parameter)
	}
	q, err := s.queueNamed(s.nameInARN(arn))
	if err != nil {
		return nil, errorf(noResource, "The resource that you specified for the %s parameter doesn't exist.",
			parameter)
	}
	return q, nil
}

// takesDeadLetters says whether a RedrivePolicy names a queue.
func (s *Server) takesDeadLetters(to *broker.Queue) bool {
	for _, q := range s.b.Queues("") {
		if isOurs(q) && sendsDeadLettersTo(q, to) {
			return true
		}
	}
	return false
}

// handle is what a TaskHandle says, in base64.
type handle struct {
	Task   string `json:"taskId"`
	Source string `json:"sourceArn"`
}

func (s *Server) moveHandle(source, id string) string {
	b, err := encodeJSON(handle{id, s.arn(source)})
	if err != nil {
		panic("aws: two strings are not JSON: " + err.Error())
	}
	return base64.StdEncoding.EncodeToString(b)
}

type listMoveTasksInput struct {
	SourceArn  string
	MaxResults *int32
}

type listMoveTasksOutput struct {
	Results []moveTaskEntry `json:"Results,omitempty" query:"ListMessageMoveTasksResultEntry"`
}

type moveTaskEntry struct {
	TaskHandle                        string `json:"TaskHandle,omitempty"`
	Status                            string
	SourceArn                         string
	DestinationArn                    string `json:"DestinationArn,omitempty"`
	MaxNumberOfMessagesPerSecond      int32  `json:"MaxNumberOfMessagesPerSecond,omitempty"`
	ApproximateNumberOfMessagesMoved  int64
	ApproximateNumberOfMessagesToMove int64
	FailureReason                     string `json:"FailureReason,omitempty"`
	StartedTimestamp                  int64
}

// listMessageMoveTasks lists the newest tasks of a queue, one unless more are asked for.
func (s *Server) listMessageMoveTasks(_ *call, in *listMoveTasksInput) (*listMoveTasksOutput, error) {
	q, err := s.queueInARN("SourceArn", in.SourceArn)
	if err != nil {
		return nil, err
	}
	n := 1
	if in.MaxResults != nil {
		if n = int(*in.MaxResults); n < 1 || n > maxMoveList {
			return nil, errorf(invalidParameter, "Value for parameter MaxResults is invalid. Reason: You must enter "+
				"a number that's between 1 and %d.", maxMoveList)
		}
	}
	out := &listMoveTasksOutput{}
	for _, t := range s.mover.list(q, n) {
		out.Results = append(out.Results, s.moveEntry(&t))
	}
	return out, nil
}

// moveEntry shows a task; it can be cancelled, and so has a handle, while it runs.
func (s *Server) moveEntry(t *moveTask) moveTaskEntry {
	e := moveTaskEntry{Status: t.Status, SourceArn: s.arn(t.Source), MaxNumberOfMessagesPerSecond: t.Rate,
		ApproximateNumberOfMessagesMoved: t.Moved, ApproximateNumberOfMessagesToMove: t.ToMove,
		FailureReason: t.Reason, StartedTimestamp: t.Started}
	if t.Target != "" {
		e.DestinationArn = s.arn(t.Target)
	}
	if t.Status == moveRuns {
		e.TaskHandle = s.moveHandle(t.Source, t.ID)
	}
	return e
}

type cancelMoveTaskInput struct {
	TaskHandle string
}

type cancelMoveTaskOutput struct {
	ApproximateNumberOfMessagesMoved int64
}

// cancelMessageMoveTask ends a task that runs, and answers when it has ended. What it has moved stays where
// it is.
func (s *Server) cancelMessageMoveTask(c *call, in *cancelMoveTaskInput) (*cancelMoveTaskOutput, error) {
	if in.TaskHandle == "" {
		return nil, missing("TaskHandle")
	}
	var h handle
	b, bad := base64.StdEncoding.DecodeString(in.TaskHandle)
	if bad != nil || json.Unmarshal(b, &h) != nil || h.Task == "" || h.Source == "" {
		return nil, errorf(invalidParameter, "Value for parameter TaskHandle is invalid.")
	}
	q, err := s.queueInARN("SourceArn", h.Source)
	if err != nil {
		return nil, err
	}
	moved, err := s.mover.cancel(c.ctx, q, h.Task)
	return &cancelMoveTaskOutput{moved}, err
}
