package aws

import (
	"os"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// story is a script in Python that tells a whole story by itself.
type story struct{ called, python, file string }

func (s story) name() string { return s.called }

func (s story) missing() string {
	if _, err := os.Stat(s.python); err != nil {
		return err.Error()
	}
	return ""
}

// TestCelerysStories runs what an application of Celery does, with the transport of today and with one that
// speaks the query protocol: kombu's queues, and workers that run tasks, of which one is killed in the middle.
func TestCelerysStories(t *testing.T) {
	const today, old = "python/.venv-current/bin/python", "python/.venv-old/bin/python"
	for _, s := range []story{
		{"celery", today, "kombu_story.py"}, {"celery", today, "celery_story.py"},
		{"celery-query", old, "kombu_story.py"}, {"celery-query", old, "celery_story.py"},
	} {
		t.Run(s.called+"/"+s.file, func(t *testing.T) {
			needed(t, s)
			tidings := server.Start(t)
			out, err := run(t, 2*time.Minute, withoutAWS(), s.python, "python/"+s.file, tidings.SQS)
			if err != nil {
				t.Errorf("%v\n%s", err, out[max(0, len(out)-8000):])
			}
		})
	}
}
