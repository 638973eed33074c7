package aws

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
	seen := map[string]bool{}
	for _, e := range entries {
		id := e.id()
		if !queueName.MatchString(id) { // names of queues and ids of entries are alike
			return errorf(invalidEntryID, "A batch entry id can only contain alphanumeric characters, "+
				"hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[id] {
			return errorf(idsNotDistinct, "Id %s repeated.", id)
		}
		seen[id] = true
	}
	return nil
}
