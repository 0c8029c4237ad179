package probes

import (
	"context"
	"errors"
	"fmt"
)

// Once makes one probe of a target by a module. The error says that the target or the module is wrong; all else is in the result.
func Once(ctx context.Context, module *Module, target Target) (Result, error) {
	kind, ok := kinds()[module.Prober]
	if !ok {
		return Result{}, module.Validate()
	}
	var wrong error
	if target.Address != "" {
		_, _, wrong = splitAddress(target.Address)
	}
	if err := errors.Join(kind.check(&target), wrong); err != nil {
		return Result{}, err
	}
	probe, err := kind.open(module, surroundings{})
	if err != nil {
		return Result{}, fmt.Errorf("module %s: %w", target.Module, err)
	}
	ctx, cancel := context.WithTimeout(ctx, module.Timeout)
	defer cancel()
	return probe(ctx, &target), nil
}
