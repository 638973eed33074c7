package aws

import (
	"context"
	"net/http"
	"slices"

	"github.com/tidings-io/tidings/broker"
)

// action is one thing that can be asked for. It knows of no codec: those fill what input makes, and write
// what do returns.
type action struct {
	name  string
	input func() any
	do    func(s *Server, c *call, in any) (any, error)
	open  bool // a URL that subscribers were told asks for it: it needs no signature
}

// call is one request, as an action sees it.
type call struct {
	ctx    context.Context
	host   string // that the client used, for the URLs of queues
	path   string // of the URL, which names the queue where the request does not
	sender string // whose key signed the request, or seems to have
	signed bool   // there was a signature; it is checked only where there are keys
	inside bool   // whoever administers the broker asks, and not a client
	trace  string // the X-Ray header
	// unheard takes back what the answer gives away, where the client cannot have read it; nil: nothing.
	unheard func()
}

// on makes an action of a method.
func on[In, Out any](name string, do func(*Server, *call, *In) (*Out, error)) action {
	return action{name: name, input: func() any { return new(In) },
		do: func(s *Server, c *call, in any) (any, error) {
			out, err := do(s, c, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		}}
}

// opened is an action that needs no signature.
func opened(a action) action {
	a.open = true
	return a
}

// nothing is the answer of an action that has none.
type nothing struct{}

// emptyResult is the answer of an action that has one with nothing in it.
type emptyResult struct{ _ struct{} }

// service is one of those that share the port.
type service struct {
	name      string // in a signature's scope
	version   string // of the query protocol
	namespace string // of its XML
	actions   []action
	unbuilt   []string // actions that are refused by name
	refusal   string   // and the code with which they are
	kinds     map[broker.ErrorKind]string
}

// services are told apart in this order: by X-Amz-Target, by the scope of the signature, by Version, and
// else it is the first one that knows the action.
var services = []*service{
	{name: "sqs", version: "2012-11-05", namespace: "http://queue.amazonaws.com/doc/2012-11-05/",
		actions: sqsActions, refusal: unsupported, kinds: kindCodes},
	{name: "sns", version: "2010-03-31", namespace: "http://sns.amazonaws.com/doc/2010-03-31/",
		actions: snsActions, unbuilt: snsUnbuilt, refusal: invalidAction, kinds: snsKindCodes},
	{name: "sts", version: "2011-06-15", namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		actions: []action{on("GetCallerIdentity", (*Server).getCallerIdentity)}, kinds: kindCodes},
}

var sqsActions = []action{
	on("CreateQueue", (*Server).createQueue),
	on("GetQueueUrl", (*Server).getQueueURL),
	on("ListQueues", (*Server).listQueues),
	on("DeleteQueue", (*Server).deleteQueue),
	on("PurgeQueue", (*Server).purgeQueue),
	on("GetQueueAttributes", (*Server).getQueueAttributes),
	on("SetQueueAttributes", (*Server).setQueueAttributes),
	on("TagQueue", (*Server).tagQueue),
	on("UntagQueue", (*Server).untagQueue),
	on("ListQueueTags", (*Server).listQueueTags),
	on("ListDeadLetterSourceQueues", (*Server).listDeadLetterSourceQueues),
	on("StartMessageMoveTask", (*Server).startMessageMoveTask),
	on("ListMessageMoveTasks", (*Server).listMessageMoveTasks),
	on("CancelMessageMoveTask", (*Server).cancelMessageMoveTask),
	on("AddPermission", (*Server).addPermission),
	on("RemovePermission", (*Server).removePermission),
	on("SendMessage", (*Server).sendMessage),
	on("SendMessageBatch", (*Server).sendMessageBatch),
	on("ReceiveMessage", (*Server).receiveMessage),
	on("DeleteMessage", (*Server).deleteMessage),
	on("DeleteMessageBatch", (*Server).deleteMessageBatch),
	on("ChangeMessageVisibility", (*Server).changeMessageVisibility),
	on("ChangeMessageVisibilityBatch", (*Server).changeMessageVisibilityBatch),
}

// Actions returns the names of all actions of SQS that are served, and of those that are known and refused.
func Actions() (served, refused []string) { return services[0].names() }

// SNSActions returns the same of SNS.
func SNSActions() (served, refused []string) { return services[1].names() }

func (v *service) names() (served, refused []string) {
	for i := range v.actions {
		served = append(served, v.actions[i].name)
	}
	return served, slices.Clone(v.unbuilt)
}

// find returns the action of a name. An action of another service is not one.
func (v *service) find(name string) (*action, *Error) {
	for i := range v.actions {
		if v.actions[i].name == name {
			return &v.actions[i], nil
		}
	}
	if slices.Contains(v.unbuilt, name) {
		return nil, errorf(v.refusal, "The action %s is not built.", name)
	}
	return nil, errorf(invalidAction, "The action %s is not valid for this web service.", name)
}

// serviceOf picks the service of a request that does not name one in X-Amz-Target.
func serviceOf(r *http.Request, version, action string) *service {
	scope := scopeService(r)
	for _, same := range []func(*service) bool{
		func(v *service) bool { return v.name == scope },
		func(v *service) bool { return v.version == version },
		func(v *service) bool { _, err := v.find(action); return err == nil },
	} {
		if i := slices.IndexFunc(services, same); i >= 0 {
			return services[i]
		}
	}
	return services[0]
}

// identityOutput is the answer of STS: whoever asks is the account.
type identityOutput struct {
	Arn     string
	UserId  string
	Account string
}

func (s *Server) getCallerIdentity(*call, *nothing) (*identityOutput, error) {
	return &identityOutput{Arn: "arn:aws:iam::" + s.config.Account + ":root", UserId: s.config.Account,
		Account: s.config.Account}, nil
}
