package alerting

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/alertmanager/alert"
	apiv2 "github.com/prometheus/alertmanager/api/v2"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
)

// prefix is where Alertmanager's API is; amtool and Grafana get http://console/alertmanager as its address.
const prefix = "/alertmanager"

// operator is who may change something: what is posted here silences an alarm, or ends it.
const operator = "operator"

// newAPI makes Alertmanager's own API. It can be asked when a plan is at work.
func (a *alerting) newAPI() (err error) {
	a.api, err = apiv2.NewAPI(a.state.intake, a.shownGroups, a.groups.Muted, a.state.silences, a.shown(), a.slog, a.registry)
	return err
}

// serve hangs the API into the console.
func (a *alerting) serve(console mux) {
	api := http.StripPrefix(prefix, a.api.Handler)
	console.Handle("GET "+prefix+"/api/v2/", api)
	console.Handle("GET "+prefix+"/metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}))
	console.Handle("GET "+prefix+"/-/healthy", saying("OK"))
	console.Handle("GET "+prefix+"/-/ready", saying("OK"))
	console.Handle("GET "+prefix+"/{$}", saying("This is the address to give to amtool, Grafana and Prometheus. For people there is "+a.external.String()))
	console.HandlePush(operator, "POST "+prefix+"/api/v2/alerts", func(w http.ResponseWriter, r *http.Request, _ string) { api.ServeHTTP(w, r) })
	silence := func(w http.ResponseWriter, r *http.Request, _ string) {
		api.ServeHTTP(&keeping{ResponseWriter: w, keep: func() error { return a.state.silenced.sync(r.Context()) }}, r)
	}
	console.HandleChange(operator, "POST "+prefix+"/api/v2/silences", func(w http.ResponseWriter, r *http.Request, who string) {
		if r = signed(w, r, who); r != nil {
			silence(w, r, who)
		}
	})
	console.HandleChange(operator, "DELETE "+prefix+"/api/v2/silence/{id}", silence)
}

// saying answers with a line, as Alertmanager says that it is well.
func saying(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, text+"\n")
	}
}

// shownGroups are the groups of the configuration at work.
func (a *alerting) shownGroups(ctx context.Context, route func(*dispatch.Route) bool, of func(*alert.Alert, time.Time) bool,
) (dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
	return a.at.Load().dispatcher.Groups(ctx, route, of)
}

// resolveTimeout is when an alert that came without an end is over.
func (a *alerting) resolveTimeout() time.Duration {
	return time.Duration(a.at.Load().plan.file.Global.ResolveTimeout)
}

// keeping answers that something was done when it is on disk.
type keeping struct {
	http.ResponseWriter
	keep     func() error
	answered bool
	failed   bool
}

// WriteHeader implements http.ResponseWriter.
func (k *keeping) WriteHeader(code int) {
	k.answered = true
	if code < http.StatusMultipleChoices {
		if err := k.keep(); err != nil {
			k.failed = true
			http.Error(k.ResponseWriter, "it holds, but is not on disk: "+err.Error(), http.StatusInternalServerError)
			return
		}
	}
	k.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (k *keeping) Write(body []byte) (int, error) {
	if !k.answered {
		k.WriteHeader(http.StatusOK)
	}
	if k.failed {
		return len(body), nil
	}
	return k.ResponseWriter.Write(body)
}
