package console

import (
	"embed"
	"net/http"
)

//go:embed web
var web embed.FS

// handlePage serves the page and its two files. What it shows comes from the mesh, and may have been made by an attacker:
// the page writes it as text only, and no script but its own runs.
func handlePage(mux *http.ServeMux) {
	for pattern, file := range map[string]string{
		"GET /{$}":       "web/index.html",
		"GET /app.js":    "web/app.js",
		"GET /style.css": "web/style.css",
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, web, file)
		})
	}
}
