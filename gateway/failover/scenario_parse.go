package failover

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/lockkeeper/lockkeeper/xds"
)

// The bounds of a scenario: it must end in reasonable time.
const (
	scenarioBytes  = 1 << 20
	scenarioProbes = 20_000
	scenarioShots  = 20_000_000
)

// scenario is a file of SCENARIOS.md.
type scenario struct {
	About    string              `yaml:"about"`
	Rules    scenarioRules       `yaml:"rules"`
	Seed     uint64              `yaml:"seed"`
	For      span                `yaml:"for"`
	Clusters map[string][]string `yaml:"clusters"`
	Machines map[string][]string `yaml:"machines"` // the endpoints on each
	Probes   []scenarioProbe     `yaml:"probes"`
	Traffic  []scenarioTraffic   `yaml:"traffic"`
	Timeline []step              `yaml:"timeline"`

	rules Rules
}

// scenarioRules are what differs from the defaults.
type scenarioRules struct {
	Profile    string               `yaml:"profile"`
	Observe    []string             `yaml:"observe"`
	IDCs       map[string]IDC       `yaml:"idcs"`
	Thresholds map[string]Threshold `yaml:"thresholds"`
	Combine    map[string]Combine   `yaml:"combine"`
	Safety     Safety               `yaml:"safety"`
	Sites      map[string]string    `yaml:"sites"`
}

// scenarioProbe is a probe, or one for each of a range of subjects, from one site.
type scenarioProbe struct {
	Subject  string `yaml:"subject"`
	IDC      string `yaml:"idc"`
	Site     string `yaml:"site"`
	Probe    string `yaml:"probe"`
	Interval span   `yaml:"interval"`
	Timeout  span   `yaml:"timeout"`
	Loss     ratio  `yaml:"loss"`
}

// step is what happens at a time: one of the things below.
type step struct {
	At     span   `yaml:"at"`
	For    span   `yaml:"for"`   // of a fault; 0: to the end
	Every  span   `yaml:"every"` // of a fault: again and again
	Site   string `yaml:"site"`  // of a fault: as this site sees it; empty: all
	Probe  string `yaml:"probe"` // of a fault: only this probe; empty: all
	Reason string `yaml:"reason"`

	Fail    []string `yaml:"fail"`    // refused at once
	Hang    []string `yaml:"hang"`    // no answer until the timeout
	Silent  []string `yaml:"silent"`  // the prober says nothing
	Break   []string `yaml:"break"`   // tries of these endpoints fail
	Callers []string `yaml:"callers"` // of break: of these callers; empty: of all
	Share   ratio    `yaml:"share"`   // of break: so many; 0: all
	Flag    string   `yaml:"flag"`    // of break: how; empty: UF

	Say    *said              `yaml:"say"`
	Hold   *scenarioHold      `yaml:"hold"`
	Unhold string             `yaml:"unhold"`
	Shift  *scenarioShift     `yaml:"shift"`
	Start  string             `yaml:"restart"` // kept | lost: what became of the state file
	Clock  span               `yaml:"clock"`
	Leave  []string           `yaml:"leave"` // subjects leave their clusters
	Expect *scenarioExpection `yaml:"expect"`
}

// said is an opinion that comes from elsewhere, such as the mesh.
type said struct {
	Subject string `yaml:"subject"`
	IDC     string `yaml:"idc"`
	Site    string `yaml:"site"`
	Health  string `yaml:"health"`
	Why     string `yaml:"why"`
	Callers int    `yaml:"callers"`
}

type scenarioHold struct {
	Subject string `yaml:"subject"`
	Action  Action `yaml:"action"`
	For     span   `yaml:"for"`
	Hard    bool   `yaml:"hard"`
	By      string `yaml:"by"`
	Why     string `yaml:"why"`
}

// scenarioShift is a shift, in percent.
type scenarioShift struct {
	ID    string             `yaml:"id"`
	By    string             `yaml:"by"`
	Entry map[string]float64 `yaml:"entry"`
	Mesh  map[string]float64 `yaml:"mesh"`
	Hard  bool               `yaml:"hard"`
}

// scenarioExpection is what must be so; what is left out may be anything.
type scenarioExpection struct {
	Entry    map[string]float64 `yaml:"entry"`
	Mesh     map[string]float64 `yaml:"mesh"`
	Would    map[string]float64 `yaml:"would"` // entry weights if all kinds acted
	Out      *[]string          `yaml:"out"`
	WouldOut *[]string          `yaml:"would_out"`
	Drained  *[]string          `yaml:"drained"`
	Alarms   *[]string          `yaml:"alarms"`
	Frozen   *[]string          `yaml:"frozen"`
	Degraded *bool              `yaml:"degraded"`
	Blocked  map[string]string  `yaml:"blocked"` // how the text begins; empty: not blocked
	Health   map[string]string  `yaml:"health"`
	Quiet    bool               `yaml:"quiet"` // nothing was taken out or put back, nor a weight changed, since the last that was expected
}

// span is a time.Duration, as 1m30s.
type span time.Duration

// UnmarshalYAML reads a Go duration.
func (s *span) UnmarshalYAML(node *yaml.Node) error {
	d, err := time.ParseDuration(node.Value)
	if err != nil {
		return wrongValue(node, "is no time such as 1m30s")
	}
	*s = span(d)
	return nil
}

// wrongValue is a mistake that does not keep the others from being found.
func wrongValue(node *yaml.Node, what string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q %s", node.Line, node.Value, what)}}
}

func (s span) String() string { return time.Duration(s).String() }

// ratio is a number from 0 to 1, or a percentage such as 1%.
type ratio float64

// UnmarshalYAML reads both.
func (r *ratio) UnmarshalYAML(node *yaml.Node) error {
	number, isPercent := strings.CutSuffix(strings.TrimSpace(node.Value), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if isPercent {
		f /= 100
	}
	if err != nil || !(f >= 0 && f <= 1) {
		return wrongValue(node, "is neither a ratio from 0 to 1 nor a percentage")
	}
	*r = ratio(f)
	return nil
}

// parseScenario reads and checks; all mistakes are reported at once.
func parseScenario(r io.Reader) (*scenario, error) {
	text, err := io.ReadAll(io.LimitReader(r, scenarioBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > scenarioBytes {
		return nil, fmt.Errorf("a scenario of more than %d bytes", scenarioBytes)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	s := &scenario{}
	if err := decoder.Decode(s); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the scenario is empty")
		}
		return nil, fmt.Errorf("read the scenario: %w", err)
	}
	return s, errors.Join(append(s.check(), s.makeRules())...)
}

// makeRules are the defaults with what the scenario says.
func (s *scenario) makeRules() error {
	r := DefaultRules()
	thresholds, ok := Profile(s.Rules.Profile)
	if !ok {
		return fmt.Errorf("rules::profile: %q: there is only fast", s.Rules.Profile)
	}
	r.Thresholds = thresholds
	for kind, t := range s.Rules.Thresholds {
		r.Thresholds[kind] = t
	}
	for _, kind := range Kinds() {
		r.Act[kind] = kind != kindDNS && !slices.Contains(s.Rules.Observe, kind)
	}
	for _, kind := range s.Rules.Observe {
		if !slices.Contains(Kinds(), kind) {
			return fmt.Errorf("rules::observe: %q: no such kind of subjects: there are %s", kind, strings.Join(Kinds(), ", "))
		}
	}
	if r.IDCs = s.Rules.IDCs; r.IDCs == nil {
		r.IDCs = map[string]IDC{"idc1": {Weight: 50, CapacityPercent: 100}, "idc2": {Weight: 50, CapacityPercent: 100}}
	}
	r.Combine, r.Sites = s.Rules.Combine, s.Rules.Sites
	if s.Rules.Safety.MaxEjectionPercent != 0 {
		r.Safety.MaxEjectionPercent = s.Rules.Safety.MaxEjectionPercent
	}
	if s.Rules.Safety.FreezePercent != 0 {
		r.Safety.FreezePercent = s.Rules.Safety.FreezePercent
	}
	s.rules = r
	return r.Validate()
}

// expand makes machine/m1 … machine/m10 of machine/m{1..10}.
func expand(subject string) ([]string, error) {
	before, rest, ok := strings.Cut(subject, "{")
	if !ok {
		return []string{subject}, nil
	}
	span, after, closed := strings.Cut(rest, "}")
	first, last, dots := strings.Cut(span, "..")
	from, err1 := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	if !closed || !dots || err1 != nil || err2 != nil || from < 0 || from > to || to-from >= scenarioProbes {
		return nil, fmt.Errorf("%q: a range is like m{1..10}", subject)
	}
	var subjects []string
	for i := from; i <= to; i++ {
		subjects = append(subjects, before+strconv.Itoa(i)+after)
	}
	return subjects, nil
}

func expandAll(subjects []string) (all []string, err error) {
	for _, subject := range subjects {
		some, e := expand(subject)
		all, err = append(all, some...), errors.Join(err, e)
	}
	return all, err
}

// hundredths are percent as weights.
func hundredths(percents map[string]float64) map[string]uint32 {
	if percents == nil {
		return nil
	}
	weights := map[string]uint32{}
	for name, p := range percents {
		weights[name] = uint32(math.Round(p * xds.Whole / 100))
	}
	return weights
}
