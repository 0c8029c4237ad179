package real

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSwapsLoseNothing changes what is served 100 times a second under 50,000 queries a second.
func TestSwapsLoseNothing(t *testing.T) {
	program := tool(t, "dnsperf", aptDNSPerf, "dnsperf")
	var names, questions string
	for i := range benchNames {
		names += both(fmt.Sprintf("n%d", i), "5s") + ", "
		questions += fmt.Sprintf("n%d.%s A\n", i, zone)
	}
	server := startHere(t, names)
	var swaps atomic.Int64
	done := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-tick.C:
				server.serve(uint32(swaps.Add(1)*997) % 10_001)
			case <-done:
				tick.Stop()
				return
			}
		}
	})
	run := runDNSPerf(t, program, server.address, write(t, t.TempDir(), "questions", questions), "-Q", "50000", "-l", "4", "-c", "10")
	close(done)
	swapping.Wait()
	t.Logf("%d swaps, %d queries, %.0f a second, %s", swaps.Load(), run.sent, run.rate, run.codes)
	if run.lost != 0 || run.completed != run.sent || run.codes != fmt.Sprintf("NOERROR %d (100.00%%)", run.sent) {
		t.Errorf("%d queries sent, %d answered, %d lost: %s", run.sent, run.completed, run.lost, run.codes)
	}
	if swaps.Load() < 100 {
		t.Errorf("only %d swaps in four seconds", swaps.Load())
	}
}
