package aws

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// TestBoto3 runs the same story in Python.
func TestBoto3(t *testing.T) {
	if err := exec.Command("python3", "-c", "import boto3").Run(); err != nil {
		if strings.Contains(*need, "boto3") {
			t.Fatal("python3 has no boto3")
		}
		t.Skip("python3 has no boto3")
	}
	s := server.Start(t)
	if out, err := exec.CommandContext(bounded(t), "python3", "story.py", s.SQS).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
