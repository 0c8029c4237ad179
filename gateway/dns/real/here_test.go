package real

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/lockkeeper/lockkeeper/gateway/dns"
	"github.com/lockkeeper/lockkeeper/xds"
)

// here is the DNS server in this process, with the test in failover's place.
type here struct {
	address netip.AddrPort
	stop    func()

	mutex   sync.Mutex
	serving *xds.Serving
	apply   func(*xds.Serving)
}

// startHere starts the server with the given names of the zone, all of them in IDC 1 and IDC 2, which share alike.
func startHere(t testing.TB, names string) *here {
	t.Helper()
	return startAt(t, netip.AddrPortFrom(loopback(1), freePort(t, loopback(1))), names)
}

func startAt(t testing.TB, address netip.AddrPort, names string) *here {
	t.Helper()
	h := &here{address: address}
	h.serve(5_000)
	file := write(t, t.TempDir(), "dns.yaml", fmt.Sprintf("endpoint: %q\nzones: {%s: {ns: {ns1.%s: %s, ns2.%s: %s}, negative_ttl: 1s, names: {%s}}}", h.address, zone, zone, loopback(1), zone, loopback(8), names))
	conf, err := confmaptest.LoadConf(file)
	require.NoError(t, err)
	factory := dns.NewFactory(nil)
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	server, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, server.Start(t.Context(), h))
	h.stop = sync.OnceFunc(func() { require.NoError(t, server.Shutdown(context.WithoutCancel(t.Context()))) })
	t.Cleanup(h.stop)
	return h
}

// serve gives IDC 1 its weight, in hundredths of a percent, and IDC 2 the rest.
func (h *here) serve(idc1 uint32) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	version := uint64(time.Now().UnixMilli())
	if h.serving != nil {
		version = max(version, h.serving.Version+1)
	}
	h.serving = &xds.Serving{
		Version: version, At: time.Now(),
		IDCs: map[string]xds.IDC{"idc1": {Entry: idc1, Mesh: idc1}, "idc2": {Entry: xds.Whole - idc1, Mesh: xds.Whole - idc1}},
	}
	if h.apply != nil {
		h.apply(h.serving)
	}
}

// WatchServing is what the DNS server looks for among the extensions.
func (h *here) WatchServing(apply func(*xds.Serving)) (stop func()) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.apply = apply
	apply(h.serving)
	return func() {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		h.apply = nil
	}
}

// GetExtensions implements component.Host.
func (h *here) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("failover"): h}
}

// Start implements component.Component.
func (*here) Start(context.Context, component.Host) error { return nil }

// Shutdown implements component.Component.
func (*here) Shutdown(context.Context) error { return nil }
