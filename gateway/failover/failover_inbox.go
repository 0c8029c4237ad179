package failover

import (
	"sync"

	"github.com/lockkeeper/lockkeeper/probes"
)

// mostWaiting is how much evidence may wait for the loop: six seconds of 10,000 probes a second. What comes on top is dropped and counted.
const mostWaiting = 1 << 16

// inbox is where evidence waits for the loop. Whoever brings it never waits.
type inbox struct {
	mu      sync.Mutex
	waiting []probes.Evidence
	wake    chan struct{} // holds one when something waits
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// put takes what there is room for, and says how much there was none for.
func (i *inbox) put(evidence []probes.Evidence) (dropped int) {
	i.mu.Lock()
	room := min(mostWaiting-len(i.waiting), len(evidence))
	i.waiting = append(i.waiting, evidence[:room]...)
	i.mu.Unlock()
	select {
	case i.wake <- struct{}{}:
	default:
	}
	return len(evidence) - room
}

// take gives all that waits, in the order in which it came. What it gave before is used again.
func (i *inbox) take(before []probes.Evidence) []probes.Evidence {
	clear(before)
	i.mu.Lock()
	defer i.mu.Unlock()
	taken := i.waiting
	i.waiting = before[:0]
	return taken
}
