package envoy

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// mostExplained is how many flags are explained at once: Envoy has fewer.
const mostExplained = 64

// explained is the answer of /api/v1/explain.
type explained struct {
	Flags    []mesh.Explanation `json:"flags"`
	Together []mesh.Together    `json:"together"`
}

// explainFlags serves GET /api/v1/explain?flags=UF,URX: what these flags mean, alone and together. Those that Envoy does not have are left out.
func explainFlags(w http.ResponseWriter, r *http.Request) {
	names := strings.SplitN(r.URL.Query().Get("flags"), ",", mostExplained)
	answer := explained{Flags: []mesh.Explanation{}, Together: []mesh.Together{}}
	var known []string
	for _, name := range names {
		if e, ok := mesh.Explain(name); ok {
			answer.Flags = append(answer.Flags, e)
			known = append(known, e.Flag)
		}
	}
	answer.Together = append(answer.Together, mesh.ExplainTogether(known)...)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=3600")
	_ = json.NewEncoder(w).Encode(answer) // fails when the client is gone
}
