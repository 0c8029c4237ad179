package failover

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Config is the configuration of the failover extension.
type Config struct {
	// Mode says what becomes of verdicts: observe (also when it is left out) tells what would be done, act does it. For single kinds of subjects it is a
	// map, such as {machine: act}; those that it does not name observe. What people ask for is done in either mode.
	Mode any `mapstructure:"mode"`

	// IDCs are the data centres that share the traffic, by name.
	IDCs map[string]IDCConfig `mapstructure:"idcs"`

	// Profile is a set of thresholds: fast is for probes of a few a second.
	Profile string `mapstructure:"profile"`

	// Thresholds are by kind of subjects. What is left out is the profile's.
	Thresholds map[string]Threshold `mapstructure:"thresholds"`

	// Combine says, by kind of subjects, how many of a subject's probes must fail until it is unhealthy: all (the default), any, or a number.
	Combine map[string]Combine `mapstructure:"combine"`

	// Safety bounds what verdicts may do.
	Safety Safety `mapstructure:"safety"`

	// Sites are all gateways that judge together, by the names that their extension cluster has for the places they are at (cluster::site), with
	// the IDC that each is in; "" is outside all. Left out: this gateway decides alone.
	Sites map[string]string `mapstructure:"sites"`

	// DataDirectory keeps what must outlive a restart, and the audit.
	DataDirectory string `mapstructure:"data_directory"`
}

// IDCConfig is what people say of an IDC.
type IDCConfig struct {
	// Weight is its share of the traffic in percent. Those of all IDCs sum to 100.
	Weight float64 `mapstructure:"weight"`

	// CapacityPercent is what share of all traffic it can carry. Left out: all of it.
	CapacityPercent *float64 `mapstructure:"capacity_percent"`
}

// Validate reports all mistakes at once.
func (c *Config) Validate() error {
	_, err := c.rules()
	if c.DataDirectory == "" {
		err = errors.Join(err, errors.New("data_directory: missing: where holds, shifts and ejections outlive a restart"))
	}
	return err
}

// rules are the configuration as Decide wants it.
func (c *Config) rules() (Rules, error) {
	rules := DefaultRules()
	act, errs := c.act()
	rules.Act = act
	thresholds, ok := Profile(c.Profile)
	if !ok {
		errs = append(errs, fmt.Errorf("profile: there is no %q: leave it out, or say fast", c.Profile))
		thresholds = rules.Thresholds
	}
	for kind, t := range c.Thresholds {
		preset := thresholds[kind]
		if t.Unhealthy == 0 {
			t.Unhealthy = preset.Unhealthy
		}
		if t.Healthy == 0 {
			t.Healthy = preset.Healthy
		}
		thresholds[kind] = t
	}
	rules.Thresholds, rules.Combine, rules.Safety, rules.Sites = thresholds, c.Combine, c.Safety, c.Sites
	rules.IDCs = make(map[string]IDC, len(c.IDCs))
	for name, idc := range c.IDCs {
		capacity := 100.0
		if idc.CapacityPercent != nil {
			capacity = *idc.CapacityPercent
		}
		rules.IDCs[name] = IDC{Weight: idc.Weight, CapacityPercent: capacity}
	}
	return rules, errors.Join(append(errs, rules.Validate())...)
}

// act reads the mode. Rules.Validate knows which kinds there are.
func (c *Config) act() (act map[string]bool, errs []error) {
	act = map[string]bool{}
	one := func(path string, mode any) bool {
		if mode != "act" && mode != "observe" {
			errs = append(errs, fmt.Errorf("%s: %v: must be observe or act", path, mode))
		}
		return mode == "act"
	}
	switch mode := c.Mode.(type) {
	case nil:
	case map[string]any:
		for _, kind := range slices.Sorted(maps.Keys(mode)) {
			act[kind] = one("mode::"+kind, mode[kind])
		}
	default:
		all := one("mode", mode)
		for _, kind := range Kinds() {
			act[kind] = all && kind != kindDNS // which only alerts
		}
	}
	return act, errs
}
