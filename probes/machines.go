package probes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// MachinesConfig names a file of machines, each of which becomes a target.
type MachinesConfig struct {
	File     string        `mapstructure:"file"`     // empty: none
	Module   string        `mapstructure:"module"`   // of the probe that every machine has
	Interval time.Duration `mapstructure:"interval"` // from one probe to the next
}

func defaultMachines() MachinesConfig { return MachinesConfig{Module: "icmp", Interval: time.Second} }

// Validate reports all mistakes that can be told without the modules.
func (c MachinesConfig) Validate() error {
	if c.Interval < leastInterval {
		return fmt.Errorf("interval: %v is too short: use %v or more", c.Interval, leastInterval)
	}
	return nil
}

func (c *Config) validateMachines() error {
	if _, err := c.Module(c.Machines.Module); err != nil {
		return fmt.Errorf("machines::module: %w", err)
	}
	if c.Machines.File == "" {
		return nil
	}
	modules, err := c.usedModules()
	if err != nil {
		return nil // told already, by key
	}
	text, err := readAtMost(c.Machines.File, machinesMost)
	var all *machinesFile
	if err == nil {
		all, err = parseMachines(c.Machines.File, text)
	}
	if err == nil {
		_, err = all.targets(c, modules)
	}
	if err != nil {
		return fmt.Errorf("machines::file: %w", err)
	}
	return nil
}

const (
	machinesEvery = time.Second // how often the file is looked at
	machinesMost  = 16 << 20    // bytes
)

// machines follows a file.
type machines struct {
	config  *Config
	modules map[string]*Module
	log     *zap.Logger
	failed  metric.Int64Counter
	known   metric.Int64Gauge
	apply   func([]Target)

	seen    []byte // of the file, good or bad
	problem string // what is wrong with it now
}

// watchMachines reads the file and tells apply of its targets; an error is one of the start. Until ctx ends, watch tells apply of every
// change. A file with mistakes changes nothing. It is read as a whole each time: files behind links, as Kubernetes mounts them, and those
// of network file systems change without a word.
func watchMachines(ctx context.Context, c *Config, set component.TelemetrySettings, apply func([]Target)) (watch func(), err error) {
	m := &machines{config: c, log: set.Logger, apply: apply}
	if m.modules, err = c.usedModules(); err != nil {
		return nil, err
	}
	meter := set.MeterProvider.Meter("github.com/lockkeeper/lockkeeper/probes")
	var errs [2]error
	m.failed, errs[0] = meter.Int64Counter("lockkeeper_probe_machines_reload_errors_total",
		metric.WithDescription("Times that the file of machines was found with new mistakes, or not at all; the last good one stays at work."))
	m.known, errs[1] = meter.Int64Gauge("lockkeeper_probe_machines", metric.WithDescription("Machines that the file at work names."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	m.failed.Add(ctx, 0)
	if err := m.load(ctx); err != nil {
		return nil, fmt.Errorf("machines::file: %w", err)
	}
	return func() { m.follow(ctx) }, nil
}

func (m *machines) follow(ctx context.Context) {
	tick := time.NewTicker(machinesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := m.load(ctx)
		if err == nil {
			m.problem = ""
			continue
		}
		if problem := err.Error(); problem != m.problem {
			m.problem = problem
			m.failed.Add(ctx, 1)
			m.log.Error("machines::file has mistakes: the last good one stays at work", zap.Error(err))
		}
	}
}

// load takes up the file if it has changed. Of a bad one that has not changed it says again what is wrong.
func (m *machines) load(ctx context.Context) error {
	text, err := readAtMost(m.config.Machines.File, machinesMost)
	if err != nil {
		m.seen = nil
		return err
	}
	if m.seen != nil && bytes.Equal(text, m.seen) {
		if m.problem != "" {
			return errors.New(m.problem)
		}
		return nil
	}
	all, err := parseMachines(m.config.Machines.File, text)
	if err == nil {
		var targets []Target
		if targets, err = all.targets(m.config, m.modules); err == nil {
			m.known.Record(ctx, int64(len(all.Machines)))
			m.log.Info("machines are at work", zap.String("file", m.config.Machines.File), zap.Int("machines", len(all.Machines)))
			m.apply(targets)
		}
	}
	m.seen = text
	return err
}

// readAtMost reads a file, but no endless one.
func readAtMost(name string, most int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s: has more than %d bytes", name, most)
	}
	return append([]byte{}, text...), nil
}
