package console

import (
	"embed"
	"net/http"
)

//go:embed web
var web embed.FS

// pagePolicy lets the page run its own two scripts and ask this gateway; nothing else. What the page shows comes from the mesh, and may have been
// made by an attacker: trusted types keep even a mistake in the page from taking it for markup or script, but for the name of its one worker.
const pagePolicy = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types layout"

// handlePage serves the page, which is built from page/, and what it consists of.
func handlePage(mux *http.ServeMux) {
	for pattern, file := range map[string]string{
		"GET /{$}":          "web/index.html",
		"GET /app.js":       "web/app.js",
		"GET /layout.js":    "web/layout.js",
		"GET /style.css":    "web/style.css",
		"GET /icon.svg":     "web/icon.svg",
		"GET /LICENSES.txt": "web/LICENSES.txt",
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", pagePolicy)
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, web, file)
		})
	}
}
