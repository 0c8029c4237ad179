package pluginhost

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

const memoryInterval = 250 * time.Millisecond

// memory watches how much of it a plugin's process holds, and ends one that holds more than it may. There is nothing
// to see on a system without /proc.
type memory struct {
	plugin  string
	limit   Size // 0: none
	metrics *metrics

	used atomic.Int64 // resident bytes, as last seen; 0 while there is no process
}

// watch looks at a process until it has ended.
func (m *memory) watch(pid int, ended <-chan struct{}, kill func(why error)) {
	ticker := time.NewTicker(memoryInterval)
	defer ticker.Stop()
	defer m.see(0)
	for {
		used, err := resident(pid)
		if err != nil {
			return
		}
		m.see(used)
		if m.limit > 0 && used > int64(m.limit) {
			m.metrics.killed(m.plugin, "memory")
			kill(fmt.Errorf("memory %s is over memory_limit (%s): killed", Size(used), m.limit))
			return
		}
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
	}
}

func (m *memory) see(used int64) {
	m.used.Store(used)
	m.metrics.memory(m.plugin, used)
}

// environment makes a plugin written in Go collect harder before it is over its limit.
func (m *memory) environment() []string {
	if m.limit == 0 {
		return nil
	}
	return []string{"GOMEMLIMIT=" + strconv.FormatInt(int64(m.limit)/10*9, 10)}
}

// resident is how many bytes of memory a process holds.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm: %q", text)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
