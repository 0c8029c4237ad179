package pluginhost

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// report on a plugin, as GET /api/v1/plugins shows it.
type report struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Binary    string    `json:"binary"`
	Address   string    `json:"address"`
	SHA256    string    `json:"sha256"` // as pinned
	Version   string    `json:"version"`
	Protocol  uint32    `json:"protocol_version"` // of the wire; 0 while there is no plugin
	PID       int       `json:"pid"`              // 0 while there is no process
	State     string    `json:"state"`
	Healthy   bool      `json:"healthy"` // runs, and says that it can work
	Since     time.Time `json:"since"`
	Restarts  int       `json:"restarts"`
	LastError string    `json:"last_error"` // stays after it is cured
	QueryURL  string    `json:"query_url"`
	Signals   []string  `json:"signals"` // what a storage plugin stores: metrics, logs

	MemoryBytes      int64 `json:"memory_bytes"`       // resident; 0 while there is no process, and where nobody can tell
	MemoryLimitBytes int64 `json:"memory_limit_bytes"` // 0: none
	BinaryChanged    bool  `json:"binary_changed"`     // the binary on disk is another than the one that runs
	LogLinesDropped  int64 `json:"log_lines_dropped"`

	Queues []queue `json:"queues"` // of what waits for it
}

// queue is what an exporter keeps for a plugin that has not taken it yet.
type queue struct {
	Exporter string  `json:"exporter"`
	Signal   string  `json:"signal"`
	Unit     string  `json:"unit"` // of size and capacity: bytes, items or requests
	Size     int64   `json:"size"`
	Capacity int64   `json:"capacity"`
	Oldest   float64 `json:"oldest_seconds"` // how long the oldest that is known of has waited

	state func() (size, capacity int64, oldest time.Duration)
}

func (q queue) now() queue {
	size, capacity, oldest := q.state()
	q.Size, q.Capacity, q.Oldest = size, capacity, oldest.Seconds()
	return q
}

// AddQueue has the report of a plugin tell of what an exporter keeps for it. state must not block.
func (h *host) AddQueue(plugin, exporter, signal, unit string, state func() (size, capacity int64, oldest time.Duration)) {
	p, ok := h.processes[plugin]
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queues = append(p.queues, queue{Exporter: exporter, Signal: signal, Unit: unit, state: state})
}

func (p *process) report() report {
	p.mu.Lock()
	defer p.mu.Unlock()
	queues := make([]queue, len(p.queues))
	for i, q := range p.queues {
		queues[i] = q.now()
	}
	s := report{
		Name: p.name, Kind: p.kind, Binary: p.binary, Address: p.address, SHA256: p.sha256, Version: p.version, State: p.state, Healthy: p.isHealthy,
		Since: p.since, Restarts: p.restarts, LastError: p.lastError, QueryURL: p.queryURL, Signals: p.signals,
		BinaryChanged: p.replaced, LogLinesDropped: p.journal.lost(), Queues: queues,
	}
	if p.memory != nil {
		s.MemoryBytes, s.MemoryLimitBytes = p.memory.used.Load(), int64(p.memory.limit)
	}
	if p.inst != nil {
		s.PID, s.Protocol = p.inst.pid, p.inst.protocol
	}
	return s
}

// stores tells whether it is for a signal. One that does not say what it stores is from before there were any for logs.
func (r report) stores(signal string) bool {
	return slices.Contains(r.Signals, signal) || len(r.Signals) == 0 && signal == "metrics"
}

func (p *process) runningQueryURL() (string, error) {
	if _, err := p.current(); err != nil {
		return "", err
	}
	s := p.report()
	if s.QueryURL == "" {
		return "", fmt.Errorf("plugin %s has no query API", p.name)
	}
	return s.QueryURL, nil
}

// list serves GET /api/v1/plugins.
func (h *host) list(w http.ResponseWriter, _ *http.Request) {
	plugins := []report{}
	for _, name := range h.names() {
		plugins = append(plugins, h.processes[name].report())
	}
	answer(w, http.StatusOK, map[string]any{"plugins": plugins})
}
