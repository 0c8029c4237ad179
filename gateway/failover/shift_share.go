package failover

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

const (
	shareWindow  = time.Minute
	callerWindow = 15 * time.Second // soon after a shift, those who came before it are forgotten
	shareCallers = 10
)

// Share knows what really entered each IDC in the last minute, by what the mesh's ingress saw. The zero Share is ready. Its methods must not be
// called concurrently.
type Share struct{ entered map[string]window }

// Measured is what entered one IDC, beside what was asked for.
type Measured struct {
	IDC      string   `json:"idc"`
	Asked    float64  `json:"asked_percent"`
	Measured *float64 `json:"measured_percent"` // of all that entered; nil: nothing did, or no ingress tells
	Requests uint64   `json:"requests"`         // in the last minute
	Rate     float64  `json:"rate"`             // requests per second
	Failures uint64   `json:"failures"`
	Callers  []Caller `json:"callers,omitempty"` // of an IDC that is asked to get nothing: who comes all the same, the busiest of the last 15 s first
}

// Caller is who sent requests.
type Caller struct {
	Address  string `json:"address"`
	Requests uint64 `json:"requests"`
}

// Observe takes what the mesh saw enter an IDC; other evidence it leaves alone.
func (s *Share) Observe(e probes.Evidence) {
	if !entered(e) {
		return
	}
	if s.entered == nil {
		s.entered = map[string]window{}
	}
	w := s.entered[e.IDC]
	w.add(e, shareWindow)
	s.entered[e.IDC] = w
}

// Report tells of the IDCs that have a weight, in order of their names. What enters others is left out.
func (s *Share) Report(now time.Time, asked map[string]uint32) []Measured {
	var all []Measured
	var total uint64
	for _, idc := range slices.Sorted(maps.Keys(asked)) {
		w := s.entered[idc]
		sum, span := w.sum(now, shareWindow), w.span(now, shareWindow)
		m := Measured{IDC: idc, Asked: float64(asked[idc]) * 100 / xds.Whole, Requests: sum.requests, Failures: sum.failures}
		if span > 0 {
			m.Rate = float64(sum.requests) / span.Seconds()
		}
		if asked[idc] == 0 {
			lately := w.sum(now, callerWindow)
			m.Callers = busiest(lately.callers, shareCallers)
		}
		total += sum.requests
		all = append(all, m)
	}
	for i := range all {
		if total > 0 {
			percent := float64(all[i].Requests) * 100 / float64(total)
			all[i].Measured = &percent
		}
	}
	return all
}

func busiest(callers map[string]uint64, limit int) (all []Caller) {
	for address, n := range callers {
		all = append(all, Caller{address, n})
	}
	slices.SortFunc(all, func(x, y Caller) int {
		return cmp.Or(cmp.Compare(y.Requests, x.Requests), cmp.Compare(x.Address, y.Address))
	})
	return all[:min(len(all), limit)]
}
