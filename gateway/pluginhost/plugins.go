package pluginhost

import (
	"slices"
)

// Plugins are the names of the plugins of a kind, sorted.
func (h *host) Plugins(kind string) []string {
	return slices.DeleteFunc(h.names(), func(name string) bool { return h.processes[name].kind != kind })
}
