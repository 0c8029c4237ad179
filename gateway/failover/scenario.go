package failover

import (
	"context"
	"errors"
	"io"
)

// RunScenario plays a scenario in fake time and writes what would happen, and why.
func RunScenario(ctx context.Context, r io.Reader, w io.Writer) error {
	return errors.New("not built yet")
}

// Scenarios are the names of those that the binary brings along.
func Scenarios() []string { return nil }

// Scenario is one that the binary brings along, by its name.
func Scenario(name string) ([]byte, error) { return nil, errors.New("not built yet") }
