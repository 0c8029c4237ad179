package pluginhost

import (
	"encoding/json"
	"net/http"

	"go.opentelemetry.io/collector/component"
)

// mux is what pluginhost needs of the console.
type mux interface {
	Handle(pattern string, handler http.Handler)
	// HandleChange asks for a token of at least this role; who is its name.
	HandleChange(role, pattern string, handler func(w http.ResponseWriter, r *http.Request, who string))
}

// serve hangs the HTTP API into the console.
func (h *host) serve(extensions map[component.ID]component.Component) {
	for _, extension := range extensions {
		if console, ok := extension.(mux); ok {
			console.Handle("GET /api/v1/plugins", http.HandlerFunc(h.list))
			console.Handle("GET /api/v1/plugins/{name}/logs", http.HandlerFunc(h.logs))
			console.HandleChange("operator", "POST /api/v1/plugins/{name}/test", h.sendTest)
		}
	}
}

// asked is the plugin whose name is in the path; nil when there is none, which is answered then.
func (h *host) asked(w http.ResponseWriter, r *http.Request) *process {
	name := r.PathValue("name")
	p, ok := h.processes[name]
	if !ok {
		refuse(w, http.StatusNotFound, h.unknown(name))
	}
	return p
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // fails when the client is gone
}

func refuse(w http.ResponseWriter, code int, err error) {
	answer(w, code, map[string]string{"error": err.Error()})
}
