package child

import (
	"os/exec"
	"runtime"
	"sync"
)

// Start starts a command whose process does not outlive this one, on Linux also
// when this one is killed or runs into its time limit.
func Start(cmd *exec.Cmd) error {
	endWithParent(cmd)
	done := make(chan error)
	starter() <- func() { done <- cmd.Start() }
	return <-done
}

// starter returns the channel of the goroutine that starts all processes. It keeps its
// thread for as long as this process runs: the kernel ends a child with the thread that
// started it, and threads that once were locked to a goroutine end with it.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})
