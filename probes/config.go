package probes

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

// Config is the configuration of the receiver probes.
type Config struct {
	// Modules are the ways to probe, by name, as blackbox_exporter writes them. Each kind is a module, too, unless one has its name.
	Modules map[string]Module `mapstructure:"modules"`

	// Targets are what is probed.
	Targets []Target `mapstructure:"targets"`

	// Machines are more targets, from a file.
	Machines MachinesConfig `mapstructure:"machines"`

	// Gateway is the value of the label gateway: which gateway probed. Empty: there is none.
	Gateway string `mapstructure:"gateway"`

	// FlushInterval is the time between two exports of metrics. Evidence does not wait for it.
	FlushInterval time.Duration `mapstructure:"flush_interval"`
}

// Module is one way to probe. Of the kinds' settings only those of its Prober are used.
type Module struct {
	Prober  string        `mapstructure:"prober"`
	Timeout time.Duration `mapstructure:"timeout"` // of one probe, whatever the interval is

	HTTP HTTPModule `mapstructure:"http"`
	TCP  TCPModule  `mapstructure:"tcp"`
	ICMP ICMPModule `mapstructure:"icmp"`
	DNS  DNSModule  `mapstructure:"dns"`
	GRPC GRPCModule `mapstructure:"grpc"`
}

func defaultConfig() *Config {
	return &Config{FlushInterval: 15 * time.Second, Machines: defaultMachines()}
}

// defaultModule is a module of a kind as it is without any settings.
func defaultModule(prober string) Module {
	return Module{
		Prober: prober, Timeout: 500 * time.Millisecond,
		HTTP: defaultHTTP(), TCP: defaultTCP(), ICMP: defaultICMP(), DNS: defaultDNS(), GRPC: defaultGRPC(),
	}
}

// Unmarshal starts from the defaults. Settings of another kind are a mistake.
func (m *Module) Unmarshal(conf *confmap.Conf) error {
	*m = defaultModule("")
	errs := []error{conf.Unmarshal(m)}
	for _, kind := range slices.Sorted(maps.Keys(kinds())) {
		if kind != m.Prober && conf.IsSet(kind) {
			errs = append(errs, fmt.Errorf("%s: has settings of another kind than prober: %q: remove them", kind, m.Prober))
		}
	}
	return errors.Join(errs...)
}

// Marshal leaves out the settings of the other kinds.
func (m Module) Marshal(conf *confmap.Conf) error {
	if err := conf.Marshal(m); err != nil {
		return err
	}
	for kind := range kinds() {
		if kind != m.Prober {
			conf.Delete(kind)
		}
	}
	return nil
}

// Validate reports what is wrong with the module but for the settings of its kind, which have a Validate of their own.
func (m Module) Validate() error {
	var errs []error
	if _, ok := kinds()[m.Prober]; !ok {
		errs = append(errs, fmt.Errorf("prober: %q is none of %s", m.Prober, kindNames()))
	}
	if m.Timeout < 10*time.Millisecond || m.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("timeout: %v: use 10ms to 1m", m.Timeout))
	}
	if m.Prober == "dns" && m.DNS.QueryName == "" {
		errs = append(errs, errors.New("dns::query_name: missing: the name to ask for"))
	}
	return errors.Join(errs...)
}

// Module finds a module by its name; the name of a kind is that kind with its defaults.
func (c *Config) Module(name string) (Module, error) {
	if m, ok := c.Modules[name]; ok {
		return m, nil
	}
	if _, ok := kinds()[name]; ok {
		return defaultModule(name), nil
	}
	known := slices.AppendSeq(slices.Collect(maps.Keys(c.Modules)), maps.Keys(kinds()))
	slices.Sort(known)
	return Module{}, fmt.Errorf("there is no module %q: use one of %s", name, strings.Join(slices.Compact(known), ", "))
}

// Validate reports all mistakes that concern more than one key, and those in the file of machines with their lines.
func (c *Config) Validate() error {
	var errs []error
	if c.FlushInterval < time.Second {
		errs = append(errs, fmt.Errorf("flush_interval: %v is too short: use 1s or more", c.FlushInterval))
	}
	first := map[Target]int{}
	for i, t := range c.Targets {
		if module, err := c.Module(t.Module); err != nil {
			errs = append(errs, fmt.Errorf("targets::%d::module: %w", i, err))
		} else if kind, ok := kinds()[module.Prober]; ok && t.Target != "" {
			if err := kind.check(&t); err != nil {
				errs = append(errs, fmt.Errorf("targets::%d::target: %w", i, err))
			}
		}
		t.Interval, t.IDC = 0, ""
		if before, ok := first[t]; ok {
			errs = append(errs, fmt.Errorf("targets::%d: is the same as targets::%d: leave one of them away", i, before))
		} else {
			first[t] = i
		}
	}
	return errors.Join(append(errs, c.validateMachines())...)
}

// usedModules are the modules that targets name, ready to be opened.
func (c *Config) usedModules() (map[string]*Module, error) {
	names := []string{}
	for _, t := range c.Targets {
		names = append(names, t.Module)
	}
	if c.Machines.File != "" {
		names = append(names, c.Machines.Module)
		for name := range c.Modules { // machines may name any of them
			names = append(names, name)
		}
	}
	slices.Sort(names)
	used := map[string]*Module{}
	for _, name := range slices.Compact(names) {
		m, err := c.Module(name)
		if err != nil {
			return nil, err
		}
		used[name] = &m
	}
	return used, nil
}
