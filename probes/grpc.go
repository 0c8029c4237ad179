package probes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
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

// Validate reports all mistakes.
func (m GRPCModule) Validate() error { return m.dialer().validate(m.PreferredIP, "") }

func (m *GRPCModule) dialer() dialer { return newDialer(m.PreferredIP, m.FallbackIP, "") }

// grpcProber is a module of kind grpc, ready to probe: it asks by gRPC's health checking protocol, version 1.
type grpcProber struct {
	module *GRPCModule
	dialer dialer
	tls    *tls.Config
}

func openGRPC(module *Module, _ surroundings) (prober, error) {
	config, err := module.GRPC.TLS.open()
	if err != nil {
		return nil, err
	}
	p := &grpcProber{module: &module.GRPC, dialer: module.GRPC.dialer(), tls: config}
	return p.probe, nil
}

func (p *grpcProber) probe(ctx context.Context, target *Target) Result {
	a := newAttempt()
	host, port, err := splitHostPort(target.Target)
	if err != nil {
		return a.fail(ctx, err)
	}
	security := insecure.NewCredentials()
	if p.module.UseTLS {
		security = credentials.NewTLS(a.tlsFor(p.tls, host))
	}
	conn, err := grpc.NewClient("passthrough:///"+target.Target,
		grpc.WithTransportCredentials(security), grpc.WithUserAgent("Lockkeeper"), grpc.WithNoProxy(), grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<10)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (conn net.Conn, err error) {
			conn, err = p.dialer.dial(ctx, a, host, port, target.Address)
			a.hide(err)
			if err == nil {
				a.enter("check")
			}
			return conn, err
		}))
	if err != nil {
		return a.fail(ctx, err)
	}
	defer func() { _ = conn.Close() }() // the probe is over
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: p.module.Service})
	return p.judge(ctx, a, answer.GetStatus(), err)
}

// judge makes the result of an answer or an error.
func (p *grpcProber) judge(ctx context.Context, a *attempt, is healthv1.HealthCheckResponse_ServingStatus, err error) Result {
	code := status.Code(err)
	a.addBool("probe_grpc_ssl", p.module.UseTLS)
	a.add("probe_grpc_status_code", float64(code))
	for number, name := range healthv1.HealthCheckResponse_ServingStatus_name {
		v := Value{Name: "probe_grpc_healthcheck_response", Label: "serving_status", Is: name}
		if err == nil && int32(is) == number {
			v.Number = 1
		}
		a.addValue(v)
	}
	switch hidden := a.hidden(); {
	case err == nil && is == healthv1.HealthCheckResponse_SERVING:
		return a.end("")
	case err == nil:
		return a.end("says " + is.String())
	case hidden != nil:
		return a.fail(ctx, hidden)
	case code == codes.Unimplemented:
		return a.end("has no health check (grpc.health.v1.Health)")
	case code == codes.NotFound:
		return a.end(fmt.Sprintf("does not know the service %q", p.module.Service))
	}
	return a.fail(ctx, errors.New(status.Convert(err).Message()))
}
