package kafka

// DescribeCluster (key 60).
//
// Versions: 0 to 2.
//
// Behaviour: the one broker, node 1, which is the controller, under the address that the
// client dialled.
//
// Differences from Apache Kafka: asked for controllers (endpoint type 2), it answers
// MISMATCHED_ENDPOINT_TYPE as a Kafka broker does; there is no controller listener to ask.

import (
	"encoding/base64"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	brokerEndpoints     = 1
	controllerEndpoints = 2
)

func (c *conn) describeCluster(r *request, q *kmsg.DescribeClusterRequest) reply {
	resp := q.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.EndpointType = q.EndpointType
	switch q.EndpointType {
	case brokerEndpoints:
	case controllerEndpoints:
		resp.ErrorCode = errMismatchedEndpoint
		resp.ErrorMessage = text("this listener describes brokers, not controllers")
		return r.answer(resp)
	default:
		resp.ErrorCode = errUnsupportedEndpoint
		resp.ErrorMessage = text("unknown endpoint type")
		return r.answer(resp)
	}
	resp.ClusterID = c.srv.clusterID()
	resp.ControllerID = nodeID
	node := kmsg.NewDescribeClusterResponseBroker()
	node.NodeID, node.Host, node.Port = nodeID, c.advertised.host, c.advertised.port
	resp.Brokers = append(resp.Brokers, node)
	if q.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	return r.answer(resp)
}

// encodeID writes an id as Kafka's Uuid does: 22 letters of URL-safe base64.
func encodeID(id broker.ID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
