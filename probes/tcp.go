package probes

import (
	"context"
	"errors"
)

// TCPModule has the settings of kind tcp.
type TCPModule struct{}

func defaultTCP() TCPModule { return TCPModule{} }

func openTCP(*Module, surroundings) (prober, error) {
	return func(context.Context, *Target) Result { return Result{Err: errors.New("tcp: not built yet")} }, nil
}
