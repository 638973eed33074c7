package management

import "net/http"

// setMemoryLimit is a path of our own: RabbitMQ's limit is set by its command line, which speaks to
// its node in another way. The limit holds until the process ends.
//
//	{"bytes": 1073741824}   or a share of the machine's memory:   {"fraction": 0.4}
func (s *Server) setMemoryLimit(r *request) (any, error) {
	if r.PathValue("n") != s.nodeName() {
		return nil, errNotFound
	}
	var want struct {
		Bytes    *int64   `json:"bytes"`
		Fraction *float64 `json:"fraction"`
	}
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	switch machine := s.config.MachineMemory; {
	case (want.Bytes == nil) == (want.Fraction == nil):
		return nil, badRequest("a limit is either bytes, or a fraction of the machine's memory")
	case want.Bytes != nil && *want.Bytes < 1:
		return nil, badRequest("bytes must be at least 1")
	case want.Bytes != nil:
		s.amqp.SetMemoryLimit(*want.Bytes)
	case !(*want.Fraction >= 0 && *want.Fraction <= 1): // so that NaN is none
		return nil, badRequest("fraction must be a number from 0.0 to 1.0")
	case machine == 0:
		return nil, &problem{http.StatusNotImplemented, "not_implemented",
			"it is not known how much memory the machine has: set bytes"}
	default:
		s.amqp.SetMemoryLimit(max(1, int64(*want.Fraction*float64(machine)))) // 0 would be none
	}
	return nil, nil
}
