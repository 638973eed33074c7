package aws

import "slices"

// maxEntries is how many a batch can have.
const maxEntries = 10

// batchError is an entry of a batch that failed; the others did not.
type batchError struct {
	Id          string
	SenderFault bool
	Code        string
	Message     string
}

func failedEntry(id string, err *Error) batchError {
	what := err.identity()
	return batchError{Id: id, SenderFault: what.fault() == "Sender", Code: what.query, Message: err.Message}
}

// doneEntry is an entry of a batch that was done.
type doneEntry struct {
	Id string
}

type entry interface{ id() string }

// checkBatch refuses a batch as a whole, before anything of it is done.
func checkBatch[E entry](entries []E, what string) error {
	if len(entries) == 0 {
		return errorf(emptyBatch, "There should be at least one %s in the request.", what)
	}
	if n := len(entries); n > maxEntries {
		return errorf(tooManyEntries, "Maximum number of entries per request are %d. You have sent %d.",
			maxEntries, n)
	}
	var seen [maxEntries]string
	for i, e := range entries {
		id := e.id()
		if !isEntryID(id) {
			return errorf(invalidEntryID, "A batch entry id can only contain alphanumeric characters, "+
				"hyphens and underscores. It can be at most 80 letters long.")
		}
		if slices.Contains(seen[:i], id) {
			return errorf(idsNotDistinct, "Id %s repeated.", id)
		}
		seen[i] = id
	}
	return nil
}

// isEntryID says whether a batch may call an entry so: as a queue can be called.
func isEntryID(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return id != "" && len(id) <= 80
}
