package dns

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// mux is what dns needs of the console.
type mux interface {
	Handle(pattern string, handler http.Handler)
}

func (s *server) serveAPI(console mux) {
	console.Handle("GET /api/v1/dns", http.HandlerFunc(s.show))
	console.Handle("GET /api/v1/dns/explain", http.HandlerFunc(s.explain))
}

// shown is the answer of /api/v1/dns.
type shown struct {
	Endpoints []string    `json:"endpoints"`
	Serial    uint32      `json:"serial"`
	Version   uint64      `json:"version"` // of the Serving; 0: there is none
	Degraded  bool        `json:"degraded"`
	Made      time.Time   `json:"made"`
	Error     string      `json:"error,omitempty"` // why the last Serving is not what is answered
	Zones     []shownZone `json:"zones"`
}

type shownZone struct {
	Zone  string                  `json:"zone"`
	NS    map[string][]netip.Addr `json:"ns"` // with their addresses, of those within the zone
	Names []explanation           `json:"names"`
}

// show answers with all that is answered.
func (s *server) show(w http.ResponseWriter, _ *http.Request) {
	t, now := s.table.Load(), s.status()
	if t == nil {
		reject(w, http.StatusServiceUnavailable, notYet)
		return
	}
	all := shown{Serial: t.serial, Version: t.serving.Version, Degraded: t.serving.Degraded, Made: now.made}
	if now.failed != nil {
		all.Error = now.failed.Error()
	}
	for _, p := range s.bound {
		all.Endpoints = append(all.Endpoints, p.listener.Addr().String())
	}
	for _, z := range s.zones {
		zone := shownZone{Zone: z.origin(), NS: z.NS}
		for _, name := range slices.Sorted(maps.Keys(z.Names)) {
			zone.Names = append(zone.Names, t.explain(z.full(name)))
		}
		all.Zones = append(all.Zones, zone)
	}
	writeJSON(w, http.StatusOK, all)
}

const notYet = "nothing is answered yet: who decides what is served has not said it"

// explain answers why a name is answered as it is.
func (s *server) explain(w http.ResponseWriter, r *http.Request) {
	t, name := s.table.Load(), r.URL.Query().Get("name")
	switch {
	case strings.Trim(name, ".") == "" || wire(dns.Fqdn(name)) == "":
		reject(w, http.StatusBadRequest, "name: must be a name, as in ?name=api.gslb.example.com")
	case t == nil:
		reject(w, http.StatusServiceUnavailable, notYet)
	default:
		writeJSON(w, http.StatusOK, t.explain(name))
	}
}

// Answers are the addresses that a name may be answered with now, of one type (A 1, AAAA 28). It is not known if no zone here has the name.
func (s *server) Answers(name string, qtype uint16) (addresses []netip.Addr, known bool) {
	t := s.table.Load()
	if t == nil {
		return nil, false
	}
	return t.answers(name, qtype)
}

// Alerts are what is wrong with what is answered. It is meant to be asked once a second.
func (s *server) Alerts() (alerts []sdk.Alert) {
	t, now := s.table.Load(), s.status()
	if t == nil {
		return nil
	}
	alert := func(name, severity, summary, description string, since time.Time) {
		alerts = append(alerts, sdk.Alert{
			Labels:      map[string]string{"alertname": name, "severity": severity, "owner": "platform"},
			Annotations: map[string]string{"summary": summary, "description": description},
			StartsAt:    since,
		})
	}
	if now.failed != nil {
		alert("DNSAnswersStale", "page", "DNS answers do not follow what is served", now.failed.Error(), now.since)
	}
	if len(t.unknown) > 0 {
		alert("DNSUnknownIDC", "ticket", "Addresses of an IDC are never answered",
			"failover knows nothing of "+strings.Join(t.unknown, ", ")+", which extension dns has addresses of: name it in failover::idcs", now.made)
	}
	if len(t.weightless) > 0 {
		alert("DNSWeightless", "page", "Names are answered from IDCs without weight",
			"none of their IDCs has a weight, so that all are answered: "+strings.Join(t.weightless, ", "), now.made)
	}
	return alerts
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // fails when the client is gone
}

func reject(w http.ResponseWriter, code int, reason string) {
	writeJSON(w, code, map[string]string{"error": reason})
}
