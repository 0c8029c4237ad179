package failover

import "time"

// Gateways that are of another mind for ever, which only a mistake can make them, must not overrule one another as fast as they can speak. Who says
// the same again and again against another's word waits for longer and longer, and acts on its own word meanwhile.
const (
	insistFreely = 3 // times in insistMemory
	insistFirst  = time.Second
	insistMost   = time.Minute
	insistMemory = 2 * time.Minute
)

// insisting is what this gateway has said of a key, and how often it had to say so against another's word.
type insisting struct {
	essence     string
	times       int
	last, until time.Time
}

// may tells whether this gateway may say what it is to say. essence is what matters of it, and against what matters of what is said now.
func (l *ledger) may(id entryID, essence, against string, own time.Time) bool {
	i := l.insists[id]
	if i == nil || own.Sub(i.last) > insistMemory {
		i = &insisting{}
		l.insists[id] = i
	}
	if against == essence { // nobody is against it
		return true
	}
	if own.Before(i.until) {
		return false
	}
	if i.essence == essence && own.Sub(i.last) < sameMoment {
		if i.times++; i.times >= insistFreely {
			i.until = own.Add(min(insistFirst<<min(i.times-insistFreely, 6), insistMost))
		}
	}
	i.essence, i.last = essence, own
	return true
}
