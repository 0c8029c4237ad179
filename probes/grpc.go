package probes

import (
	"context"
	"errors"
)

// GRPCModule has the settings of kind grpc.
type GRPCModule struct{}

func defaultGRPC() GRPCModule { return GRPCModule{} }

func openGRPC(*Module, surroundings) (prober, error) {
	return func(context.Context, *Target) Result { return Result{Err: errors.New("grpc: not built yet")} }, nil
}
