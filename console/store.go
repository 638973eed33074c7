package console

import (
	"net/http"
	"path/filepath"
	"time"
)

func (s *Server) storage(*http.Request) (any, error) {
	st := s.b.Storage()
	doc := Storage{
		Frames: st.Frames, Syncs: st.Syncs, Checkpoints: st.Checkpoints,
		JournalBytes: st.JournalBytes, ExtentBytes: st.ExtentBytes, PendingBytes: st.PendingBytes,
		Logs: st.Logs, Segments: st.Segments, OpenFiles: st.OpenFiles, Keys: st.Keys,
		DiskFree: st.DiskFree, DiskTotal: st.DiskTotal, Full: st.Full, DirectIO: st.DirectIO,
	}
	if err := s.b.Err(); err != nil {
		doc.Failed = err.Error()
	}
	return doc, nil
}

// backup copies the store into a directory of the server's machine while it
// runs. It may take long: the answer comes at the end.
func (s *Server) backup(r *http.Request) (any, error) {
	var doc BackupTo
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	if s.c.Backup == nil {
		return nil, &problem{status: http.StatusNotImplemented, Problem: Problem{
			Code: "unsupported", Message: "this server cannot make backups"}}
	}
	if !filepath.IsAbs(doc.Dir) {
		return nil, invalid("dir: %q is no absolute path", doc.Dir)
	}
	start := time.Now()
	if err := s.c.Backup(r.Context(), filepath.Clean(doc.Dir)); err != nil {
		return nil, err
	}
	return BackedUp{Dir: filepath.Clean(doc.Dir), Seconds: time.Since(start).Seconds()}, nil
}

// healthz is 200 while the store accepts changes, else 503 with the reason.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := s.b.Err(); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, Health{Status: "failed", Reason: err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, Health{Status: "ok"})
}
