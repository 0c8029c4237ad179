package dns

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"go.yaml.in/yaml/v3"

	"github.com/lockkeeper/lockkeeper/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const oneZone = `
endpoint: 127.0.0.1:0
zones:
  gslb.example.com:
    ns: {ns1.gslb.example.com: 127.1.0.53, ns2.gslb.example.com: 127.2.0.53}
    names: {api: {ttl: 5s, idcs: {idc1: [127.1.0.1], idc2: [127.2.0.1]}}}
`

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	var raw map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &raw))
	cfg := createDefaultConfig()
	if err := confmap.NewFromStringMap(raw).Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

// running is a server that answers.
type running struct {
	*server
	at        string
	logs      *observer.ObservedLogs
	telemetry *componenttest.Telemetry
	mux       *http.ServeMux
}

// start starts a server with these other extensions, until the end of the test.
func start(t *testing.T, text string, others ...component.Component) *running {
	t.Helper()
	return startChanged(t, text, func(*server) {}, others...)
}

// startChanged is start of a server that was changed before.
func startChanged(t *testing.T, text string, change func(*server), others ...component.Component) *running {
	t.Helper()
	cfg, err := load(t, text)
	require.NoError(t, err)
	r := &running{telemetry: componenttest.NewTelemetry(), mux: http.NewServeMux()}
	set := r.telemetry.NewTelemetrySettings()
	var core zapcore.Core
	core, r.logs = observer.New(zap.InfoLevel)
	set.Logger = zap.New(core)
	r.server = newServer(cfg, set, nil)
	change(r.server)
	h := host{component.MustNewID("console"): console{ServeMux: r.mux}}
	for i, other := range others {
		h[component.MustNewIDWithName("other", string(rune('a'+i)))] = other
	}
	require.NoError(t, r.Start(t.Context(), h))
	t.Cleanup(func() {
		require.NoError(t, r.Shutdown(context.Background()))
		require.NoError(t, r.telemetry.Shutdown(context.Background()))
	})
	r.at = r.bound[0].listener.Addr().String()
	return r
}

// timed changes how long the clients of TCP have.
func timed(change func(*tcpServer)) func(*server) {
	return func(s *server) {
		s.open = func(ctx context.Context, endpoint string) (*port, error) {
			p, err := openPort(ctx, endpoint)
			if err == nil {
				change(p.tcp)
			}
			return p, err
		}
	}
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// nothing is a component that does nothing.
type nothing struct{}

func (nothing) Start(context.Context, component.Host) error { return nil }
func (nothing) Shutdown(context.Context) error              { return nil }

type console struct {
	nothing
	*http.ServeMux
}

// decider is who decides what is served.
type decider struct {
	nothing
	mu    sync.Mutex
	now   *xds.Serving
	apply func(*xds.Serving)
}

func (d *decider) WatchServing(apply func(*xds.Serving)) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apply = apply
	if d.now != nil {
		apply(d.now)
	}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.apply = nil
	}
}

// decide serves these weights.
func (d *decider) decide(version uint64, idc1, idc2 uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = &xds.Serving{Version: version, IDCs: map[string]xds.IDC{"idc1": {Entry: idc1, Why: "base weight"}, "idc2": {Entry: idc2, Why: "base weight"}}}
	if d.apply != nil {
		d.apply(d.now)
	}
}

// ask asks for a record by UDP or TCP.
func (r *running) ask(t *testing.T, network, name string, kind uint16) *dns.Msg {
	t.Helper()
	client := dns.Client{Net: network, Timeout: 10 * time.Second}
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, kind), r.at)
	require.NoError(t, err)
	return answer
}

// address is the one address of an answer.
func address(t *testing.T, answer *dns.Msg) string {
	t.Helper()
	require.Len(t, answer.Answer, 1, answer)
	return answer.Answer[0].(*dns.A).A.String()
}

// dial is a UDP socket to the server, from a port of its own.
func (r *running) dial(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(r.at)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

// question is a query for an A record as it is sent.
func question(t *testing.T, name string) []byte {
	t.Helper()
	packed, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
	require.NoError(t, err)
	return packed
}

// counter is the sum of a counter over all attributes but those given as key, value.
func (r *running) counter(t *testing.T, name string, attributes ...string) (sum int64) {
	t.Helper()
	m, err := r.telemetry.GetMetric(name)
	require.NoError(t, err)
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	for _, p := range points {
		matches := true
		for i := 0; i < len(attributes); i += 2 {
			value, _ := p.Attributes.Value(attribute.Key(attributes[i]))
			matches = matches && value.AsString() == attributes[i+1]
		}
		if matches {
			sum += p.Value
		}
	}
	return sum
}
