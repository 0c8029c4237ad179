package probes

import (
	"context"
	"errors"
)

// HTTPModule has the settings of kind http.
type HTTPModule struct{}

func defaultHTTP() HTTPModule { return HTTPModule{} }

func checkHTTP(*Target) error { return nil }

func openHTTP(*Module, surroundings) (prober, error) {
	return func(context.Context, *Target) Result { return Result{Err: errors.New("http: not built yet")} }, nil
}
