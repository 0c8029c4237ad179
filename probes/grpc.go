package probes

import (
	"context"
	"errors"
)

// GRPCModule has the settings of kind grpc: blackbox_exporter's, with their defaults.
type GRPCModule struct {
	Service     string    `mapstructure:"service"` // empty: the server as a whole
	UseTLS      bool      `mapstructure:"tls"`
	TLS         TLSConfig `mapstructure:"tls_config"`
	PreferredIP string    `mapstructure:"preferred_ip_protocol"`
	FallbackIP  bool      `mapstructure:"ip_protocol_fallback"`
}

func defaultGRPC() GRPCModule { return GRPCModule{PreferredIP: "ip6", FallbackIP: true} }

func openGRPC(*Module, surroundings) (prober, error) {
	return func(context.Context, *Target) Result { return Result{Err: errors.New("grpc: not built yet")} }, nil
}
