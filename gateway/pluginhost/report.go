package pluginhost

import (
	"fmt"
	"net/http"
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

	MemoryBytes      int64 `json:"memory_bytes"`       // resident; 0 while there is no process, and where nobody can tell
	MemoryLimitBytes int64 `json:"memory_limit_bytes"` // 0: none
	BinaryChanged    bool  `json:"binary_changed"`     // the binary on disk is another than the one that runs
	LogLinesDropped  int64 `json:"log_lines_dropped"`
}

func (p *process) report() report {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := report{
		Name: p.name, Kind: p.kind, Binary: p.binary, Address: p.address, SHA256: p.sha256, Version: p.version, State: p.state, Healthy: p.isHealthy,
		Since: p.since, Restarts: p.restarts, LastError: p.lastError, QueryURL: p.queryURL,
		BinaryChanged: p.replaced, LogLinesDropped: p.journal.lost(),
	}
	if p.memory != nil {
		s.MemoryBytes, s.MemoryLimitBytes = p.memory.used.Load(), int64(p.memory.limit)
	}
	if p.inst != nil {
		s.PID, s.Protocol = p.inst.pid, p.inst.protocol
	}
	return s
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
