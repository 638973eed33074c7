package kafka

// Reserved extensions of package tidings.
const (
	extOriginTopic = "origintopic"
	extAttempt     = "attempt"
	extMalformed   = "malformed"
)
