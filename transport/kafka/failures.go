package kafka

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// final are the answers of a broker that trying again does not mend.
var final = []error{
	kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
	kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
	kerr.InvalidGroupID, kerr.InconsistentGroupProtocol, kerr.GroupMaxSizeReached,
	kerr.InvalidSessionTimeout, kerr.FencedInstanceID, kerr.UnsupportedVersion,
	kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InvalidTopicException,
}

// fatal says whether reading cannot go on: the caller closes the consumer and subscribes again,
// which makes a topic that was deleted.
func fatal(err error) bool {
	return slices.ContainsFunc(final, func(f error) bool { return errors.Is(err, f) })
}
