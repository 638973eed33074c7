package kafka

// ApiVersions (key 18).
//
// Versions: 0 to 4. Any other version is answered in version 0 with UNSUPPORTED_VERSION and
// this key's range, so that a newer client can fall back (KIP-511).
//
// Behaviour: the served table, and the feature metadata.version at the level of Kafka 4.2,
// from which admin tools derive what a broker can do. group.version, share.version and
// transaction.version are not finalized, since those protocols are not spoken.
//
// Differences from Apache Kafka: none that a client sees.

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	metadataVersionFeature = "metadata.version"
	lowestMetadataVersion  = 7  // 3.3-IV3, where Kafka 4 begins
	metadataVersion        = 29 // 4.2-IV1
)

func (c *conn) apiVersions(r *request, q *kmsg.ApiVersionsRequest) reply {
	resp := q.ResponseKind().(*kmsg.ApiVersionsResponse)
	named := softwareName(q.ClientSoftwareName) && softwareName(q.ClientSoftwareVersion)
	if q.Version >= 3 && !named {
		resp.ErrorCode = errInvalidRequest
		return r.answer(resp)
	}
	for _, s := range Served() {
		resp.ApiKeys = append(resp.ApiKeys, apiKey(s))
	}
	supported := kmsg.NewApiVersionsResponseSupportedFeature()
	supported.Name = metadataVersionFeature
	supported.MinVersion, supported.MaxVersion = lowestMetadataVersion, metadataVersion
	resp.SupportedFeatures = append(resp.SupportedFeatures, supported)
	final := kmsg.NewApiVersionsResponseFinalizedFeature()
	final.Name = metadataVersionFeature
	final.MinVersionLevel, final.MaxVersionLevel = metadataVersion, metadataVersion
	resp.FinalizedFeatures = append(resp.FinalizedFeatures, final)
	resp.FinalizedFeaturesEpoch = 0
	return r.answer(resp)
}

func apiKey(s ServedRequest) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = s.Key, s.Min, s.Max
	return k
}

// unknownAPIVersions answers a version of ApiVersions that is not served.
func (c *conn) unknownAPIVersions(r *request) reply {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = errUnsupportedVersion
	resp.ApiKeys = append(resp.ApiKeys, apiKey(lookup(keyAPIVersions).ServedRequest))
	return r.answer(resp)
}

// softwareName is KIP-511's rule for the name and version of client software: letters, digits,
// dots and dashes, the first and the last no dot or dash.
func softwareName(s string) bool {
	if s == "" || !alphanumeric(s[0]) || !alphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '.' && s[i] != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
