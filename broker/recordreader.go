package broker

// RecordReader decodes encoded batches as Records does, and takes little memory for many of them: it keeps
// names of headers that it has met, and gives out one list of headers again and again. The zero value is
// ready. For one goroutine.
type RecordReader struct {
	in      batchReader
	headers []Header
	names   map[string]string
}

// Open begins a batch, whose checksum must have been verified, and drops what was left of the one before.
// Kinds: Corrupt, TooLarge, Unsupported, as of Records.
func (r *RecordReader) Open(raw []byte) (err error) {
	r.in, err = openBatch(raw)
	return err
}

// Next returns the next record; ok is false behind the last one. Its headers are valid until the next call;
// keys and values point into the batch, or into the decoded block where that is compressed. Kind: Corrupt.
func (r *RecordReader) Next() (rec Record, ok bool, err error) {
	return r.in.nextInto(r.headers[:0], r)
}

// What is kept of names: more of them, or longer ones, cost memory each time.
const (
	keptNames    = 64
	keptNameSize = 64
)

// name is a name of a header as a string; nil keeps none.
func (r *RecordReader) name(b []byte) string {
	if r == nil {
		return string(b)
	}
	if name, ok := r.names[string(b)]; ok {
		return name
	}
	name := string(b)
	if len(r.names) < keptNames && len(name) <= keptNameSize {
		if r.names == nil {
			r.names = map[string]string{}
		}
		r.names[name] = name
	}
	return name
}
