package envoy

import (
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// appAt is an app in an IDC.
type appAt struct{ idc, app string }

// telemetryNow says how well the Envoys of an app can be heard now. Those of which nothing comes any more are gone, as in every rolling deploy, unless
// their stats still come.
func (r *envoyReceiver) telemetryNow(now time.Time) func(idc, app string) mesh.Telemetry {
	return telemetryOf(r.aggregator.Sources(), r.health(now))
}

func telemetryOf(sources map[string]mesh.Source, nodes map[string]*health) func(idc, app string) mesh.Telemetry {
	type heard struct {
		mesh.Telemetry
		there   float64 // nodes
		missing float64 // of them, in shares
	}
	apps := map[appAt]*heard{}
	for id, s := range sources {
		at := appAt{s.IDC, s.App}
		a := apps[at]
		if a == nil {
			a = &heard{}
			apps[at] = a
		}
		a.Ingress = a.Ingress || s.Ingress
		switch h := nodes[id]; {
		case h != nil && h.alsLost:
			a.there++
			a.missing++
		case s.Streams == 0:
		case h != nil && h.Known:
			a.there++
			a.missing += 1 - h.Ratio
		default:
			a.there++
		}
	}
	return func(idc, app string) mesh.Telemetry {
		a := apps[appAt{idc, app}]
		if a == nil {
			return mesh.Telemetry{}
		}
		t := a.Telemetry
		if t.Gone = a.there == 0; !t.Gone {
			t.Missing = a.missing / a.there
		}
		return t
	}
}
