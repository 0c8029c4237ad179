package pluginhost

import (
	"os"
	"runtime"
)

// forker starts processes from one operating system thread that lives as long as it does: on Linux the end of the thread
// that started a process counts as the death of its parent. It also owns the pipe that tells plugins whether the gateway lives.
type forker struct {
	jobs chan func()
	done chan struct{}

	read, write *os.File
}

func newForker() (*forker, error) {
	f := &forker{jobs: make(chan func()), done: make(chan struct{})}
	var err error
	// Both ends are closed on exec: only who is handed the read end explicitly has it, and the write end nobody but us.
	if f.read, f.write, err = os.Pipe(); err != nil {
		return nil, err
	}
	go func() {
		defer close(f.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range f.jobs {
			job()
		}
	}()
	return f, nil
}

// do runs start on the thread and returns its error. Not after close.
func (f *forker) do(start func() error) error {
	result := make(chan error, 1)
	f.jobs <- func() { result <- start() }
	return <-result
}

// close ends the thread and with it whatever it started.
func (f *forker) close() {
	close(f.jobs)
	<-f.done
	_ = f.write.Close()
	_ = f.read.Close()
}
