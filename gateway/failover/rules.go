package failover

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

// The kinds of subjects: what stands before the first slash of their names.
const (
	kindIDC      = "idc"
	kindMachine  = "machine"
	kindEndpoint = "endpoint"
	kindDNS      = "dns" // only alerts: an IDC that is not answered could never come back otherwise
)

// Kinds are the kinds of subjects that there are.
func Kinds() []string { return []string{kindDNS, kindEndpoint, kindIDC, kindMachine} }

// Kind is what stands before the first slash of a subject.
func Kind(subject string) string {
	kind, _, _ := strings.Cut(subject, "/")
	return kind
}

// Rules are what people configure of judging and deciding.
type Rules struct {
	// IDCs are the IDCs that share the traffic, by name. None: nothing is said of weights.
	IDCs map[string]IDC

	// Act tells of each kind whether verdicts are acted upon, or only told. dns never acts.
	Act map[string]bool

	// Thresholds are by kind.
	Thresholds map[string]Threshold

	// Combine is by kind: how many of a subject's probes must call it dead.
	Combine map[string]Combine

	Safety Safety

	// Sites are the gateways that observe, with the IDC each is in; "" is outside all. None: this gateway alone, which counts as outside.
	Sites map[string]string
}

// IDC is what people say of one.
type IDC struct {
	// Weight is its share of the traffic in percent. Those of all IDCs sum to 100.
	Weight float64 `mapstructure:"weight" yaml:"weight"`

	// CapacityPercent is what share of all traffic it can carry. No verdict moves more onto it.
	CapacityPercent float64 `mapstructure:"capacity_percent" yaml:"capacity_percent"`
}

// Threshold is when a subject changes its health, by the results of one of its probes.
type Threshold struct {
	// Unhealthy is how many probes in a row must fail, in as many of the probe's usual intervals: immediate re-probes make a row longer, not
	// faster, and end it when they succeed.
	Unhealthy int `mapstructure:"unhealthy" yaml:"unhealthy"`

	// Healthy is for how many seconds no probe may fail before an unhealthy subject is healthy again; as many probes as Unhealthy says must
	// have succeeded in them. At one probe a second that is as many probes in a row.
	Healthy int `mapstructure:"healthy" yaml:"healthy"`
}

func (t Threshold) clean() time.Duration { return time.Duration(t.Healthy) * time.Second }

// Safety bounds what verdicts may do.
type Safety struct {
	// MaxEjectionPercent is how much of a cluster may be out, but always one while a healthy one remains.
	MaxEjectionPercent int `mapstructure:"max_ejection_percent" yaml:"max_ejection_percent"`

	// FreezePercent: when more of a cluster or of an IDC than this, and at least three, go down within ten seconds, nothing more is taken
	// out of it as long as so many are down.
	FreezePercent int `mapstructure:"freeze_percent" yaml:"freeze_percent"`
}

// What is not worth a knob.
const (
	freezeWindow    = 10 * time.Second // within which so many must go down
	freezeLeast     = 3
	rateWindow      = time.Minute // the global rate: in it max(rateLeast, ratePercent of all subjects) may be taken out
	rateLeast       = 10
	ratePercent     = 5
	flapMemory      = time.Hour       // each fall in it doubles the clean time
	flapMost        = 16              // at most so many times the clean time
	provisionalTime = 5 * time.Minute // what was taken out before a restart is put back when nothing confirms it
	quorumPatience  = 10 * time.Second

	hearsay          = 3 * time.Second // in which what made others decide has come, too
	disagreePatience = 2 * time.Minute // sites may differ for so long: thresholds make them
	forgetAfter      = time.Hour       // a subject that is silent for so long is forgotten
)

// DefaultRules are the shipped ones: they observe.
func DefaultRules() Rules {
	return Rules{
		Act: map[string]bool{},
		Thresholds: map[string]Threshold{
			kindIDC: {Unhealthy: 5, Healthy: 60}, kindMachine: {Unhealthy: 3, Healthy: 30},
			kindEndpoint: {Unhealthy: 3, Healthy: 30}, kindDNS: {Unhealthy: 3, Healthy: 30},
		},
		Combine: map[string]Combine{},
		Safety:  Safety{MaxEjectionPercent: 30, FreezePercent: 15},
	}
}

// Profile is a named set of thresholds: fast is for probes of a few a second. ok tells whether there is such a name; "" are the defaults.
func Profile(name string) (thresholds map[string]Threshold, ok bool) {
	thresholds = DefaultRules().Thresholds
	switch name {
	case "":
		return thresholds, true
	case "fast":
		for kind := range thresholds {
			thresholds[kind] = Threshold{Unhealthy: 3, Healthy: 10}
		}
		return thresholds, true
	}
	return nil, false
}

// Validate reports all mistakes at once, each with its path.
func (r Rules) Validate() error {
	errs := r.validateIDCs()
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, kind := range slices.Sorted(maps.Keys(r.Act)) {
		if !slices.Contains(Kinds(), kind) {
			add("mode::%s: no such kind of subjects: there are %s", kind, strings.Join(Kinds(), ", "))
		} else if kind == kindDNS && r.Act[kind] {
			add("mode::dns: cannot act: an IDC that is not answered could never come back; leave it out")
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Thresholds)) {
		t := r.Thresholds[kind]
		if !slices.Contains(Kinds(), kind) {
			add("thresholds::%s: no such kind of subjects: there are %s", kind, strings.Join(Kinds(), ", "))
		}
		if t.Unhealthy < 1 || t.Unhealthy > 1000 {
			add("thresholds::%s::unhealthy: must be from 1 to 1000 probes in a row, is %d", kind, t.Unhealthy)
		}
		if t.Healthy < 1 || t.Healthy > 86_400 {
			add("thresholds::%s::healthy: must be from 1 to 86400 seconds without a failure, is %d", kind, t.Healthy)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Combine)) {
		if !slices.Contains(Kinds(), kind) {
			add("combine::%s: no such kind of subjects: there are %s", kind, strings.Join(Kinds(), ", "))
		}
		if r.Combine[kind] < 0 {
			add("combine::%s: must be all, any or a number of probes, is %d", kind, r.Combine[kind])
		}
	}
	percent := func(key string, value int) {
		if value < 1 || value > 100 {
			add("safety::%s: must be from 1 to 100, is %d", key, value)
		}
	}
	percent("max_ejection_percent", r.Safety.MaxEjectionPercent)
	percent("freeze_percent", r.Safety.FreezePercent)
	for _, site := range slices.Sorted(maps.Keys(r.Sites)) {
		if _, ok := r.IDCs[r.Sites[site]]; !ok && r.Sites[site] != "" {
			add("sites::%s: %q is not among idcs; \"\" is outside all", site, r.Sites[site])
		}
	}
	return errors.Join(errs...)
}

func (r Rules) validateIDCs() (errs []error) {
	var sum float64
	for _, name := range slices.Sorted(maps.Keys(r.IDCs)) {
		idc := r.IDCs[name]
		if name == "" || strings.Contains(name, "/") {
			errs = append(errs, fmt.Errorf("idcs: %q is no name of an IDC: it must not be empty nor hold a slash", name))
		}
		if !(idc.Weight >= 0 && idc.Weight <= 100) { // also NaN
			errs = append(errs, fmt.Errorf("idcs::%s::weight: must be from 0 to 100 percent, is %v", name, idc.Weight))
		}
		if !(idc.CapacityPercent > 0 && idc.CapacityPercent <= 1000) {
			errs = append(errs, fmt.Errorf("idcs::%s::capacity_percent: must be more than 0 (of all traffic), at most 1000, is %v", name, idc.CapacityPercent))
		}
		sum += idc.Weight
	}
	if len(r.IDCs) > 0 && !(math.Abs(sum-100) < 0.011) {
		errs = append(errs, fmt.Errorf("idcs: the weights must sum to 100 percent; they sum to %.4g", sum))
	}
	return errs
}

// Base is the base weight of each IDC; they sum to xds.Whole. Nil: no IDCs.
func (r Rules) Base() map[string]uint32 {
	names := r.idcNames()
	if len(names) == 0 {
		return nil
	}
	parts := make([]float64, len(names))
	for i, name := range names {
		parts[i] = r.IDCs[name].Weight
	}
	base := make(map[string]uint32, len(names))
	for i, weight := range split(xds.Whole, parts) {
		base[names[i]] = weight
	}
	return base
}

func (r Rules) idcNames() []string { return slices.Sorted(maps.Keys(r.IDCs)) }

func (r Rules) threshold(kind string) Threshold {
	if t, ok := r.Thresholds[kind]; ok {
		return t
	}
	return DefaultRules().Thresholds[kind]
}
