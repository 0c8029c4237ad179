package probes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
)

// MachinesConfig names a file of machines, each of which becomes a target.
type MachinesConfig struct {
	File     string        `mapstructure:"file"` // empty: none
	Module   string        `mapstructure:"module"`
	Interval time.Duration `mapstructure:"interval"`
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
	return nil
}

// watchMachines reads the file and tells apply of its targets; an error is one of the start. Until ctx ends, watch tells apply of every change.
func watchMachines(ctx context.Context, _ *Config, _ component.TelemetrySettings, apply func([]Target)) (watch func(), err error) {
	return nil, errors.New("machines: not built yet")
}
