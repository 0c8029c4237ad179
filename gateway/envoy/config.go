package envoy

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// Config is the section receivers::envoy.
type Config struct {
	// ServerConfig are the Collector's own gRPC server settings: endpoint, tls, keepalive, max_recv_msg_size_mib and so on.
	configgrpc.ServerConfig `mapstructure:",squash"`

	// FlushInterval is how often the counted metrics are handed on.
	FlushInterval time.Duration `mapstructure:"flush_interval"`

	// Gateway is the value of the label gateway: which gateway counted. Default: the host's name.
	Gateway string `mapstructure:"gateway"`

	// IDC says where an Envoy tells which IDC it is in.
	IDC IDCConfig `mapstructure:"idc"`

	// Reporters maps an access log's log_name to source or destination, for Envoys whose entries tell neither.
	Reporters map[string]string `mapstructure:"reporters"`

	// AccessLogs says which entries become log records: none, errors, all, or a ratio above 0 and up to 1, such as 0.01.
	AccessLogs string `mapstructure:"access_logs"`

	// RecordAttributes adds attributes to log records, by name.
	RecordAttributes map[string]AttributeConfig `mapstructure:"record_attributes"`

	// RequestsFrom says where istio_* metrics come from: als, or stats for Envoys whose stats sink sends Istio's own.
	RequestsFrom string `mapstructure:"requests_from"`

	// MetricPrefix is put before the names of the istio_* metrics that come from access logs.
	MetricPrefix string `mapstructure:"metric_prefix"`

	// Stats says which of Envoy's stats are kept.
	Stats StatsConfig `mapstructure:"stats"`

	// Evidence says whose word counts when traffic is moved: mtls, of Envoys whose client certificate names them, or any.
	Evidence string `mapstructure:"evidence"`

	// Evidence5xx says whether a 5xx response, or a gRPC status of that kind, speaks against the endpoint that gave it, as its silence does.
	Evidence5xx bool `mapstructure:"evidence_5xx"`

	// Ingress names the Envoys through which traffic enters an IDC, by log_name, workload or app. Empty: Istio's gateways.
	Ingress []string `mapstructure:"ingress"`

	// Storage is the storage extension that keeps what coverage has to know of the time before a restart; unset: nothing is kept.
	Storage *component.ID `mapstructure:"storage"`

	// Series bounds the metrics.
	Series SeriesConfig `mapstructure:"series"`

	_ struct{}
}

// IDCConfig has one of its fields set.
type IDCConfig struct {
	Locality string `mapstructure:"locality"` // region, zone or sub_zone of the node's locality
	Metadata string `mapstructure:"metadata"` // a key of the node's metadata
}

// SeriesConfig bounds the label sets kept.
type SeriesConfig struct {
	Max  int           `mapstructure:"max"`         // label sets; what is beyond is counted as "other"
	Idle time.Duration `mapstructure:"idle"`        // one without requests for so long is dropped
	Drop []string      `mapstructure:"drop_labels"` // labels that istio_* metrics are counted without
}

// StatsConfig has regular expressions that are matched against a stat's whole name, such as cluster.upstream_rq_total.
type StatsConfig struct {
	Include []string `mapstructure:"include"` // empty: all
	Exclude []string `mapstructure:"exclude"` // wins over include
}

// AttributeConfig has one of its fields set.
type AttributeConfig struct {
	Metadata string `mapstructure:"metadata"` // a key of the node's metadata, LABELS/name for one of its labels
	Header   string `mapstructure:"header"`   // a logged request or response header
	Tag      string `mapstructure:"tag"`      // a custom tag
}

// defaultReadBuffer is what a connection reads at once, as long as it has something to read.
const defaultReadBuffer = 128 << 10

func defaultConfig() *Config {
	server := configgrpc.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "localhost:9001"
	server.ReadBufferSize = defaultReadBuffer
	server.MaxRecvMsgSizeMiB = 64 // an Envoy with 500,000 stats sends them in one message
	// Envoy keeps its streams open for ever: pings find the ones whose other end is gone.
	keepalive := configgrpc.NewDefaultKeepaliveServerConfig()
	ping := configgrpc.NewDefaultKeepaliveServerParameters()
	ping.Time, ping.Timeout = 5*time.Second, 5*time.Second // in time for the loss ratio, which waits for ten
	keepalive.ServerParameters = configoptional.Some(ping)
	// Envoy pings, too: gRPC cuts off who does so more often than every five minutes.
	allowed := configgrpc.NewDefaultKeepaliveEnforcementPolicy()
	allowed.MinTime, allowed.PermitWithoutStream = time.Second, true
	keepalive.EnforcementPolicy = configoptional.Some(allowed)
	server.Keepalive = configoptional.Some(keepalive)
	host, err := os.Hostname()
	if err != nil {
		host = mesh.Unknown
	}
	return &Config{
		ServerConfig: server, FlushInterval: 5 * time.Second, Gateway: host, AccessLogs: "errors", RequestsFrom: "als",
		Evidence: evidenceMTLS, Evidence5xx: true, Ingress: []string{},
		Stats:  StatsConfig{Include: []string{}, Exclude: []string{}},
		Series: SeriesConfig{Max: 20000, Idle: 15 * time.Minute},
	}
}

// Unmarshal lets access_logs be written as a number, too.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	switch ratio := conf.Get("access_logs").(type) {
	case int, int64, float64:
		if err := conf.Merge(confmap.NewFromStringMap(map[string]any{"access_logs": fmt.Sprint(ratio)})); err != nil {
			return err
		}
	}
	return conf.Unmarshal(c)
}

// Validate reports all mistakes at once.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.FlushInterval >= 100*time.Millisecond, "flush_interval: %v is too short: use 100ms or more", c.FlushInterval)
	check(c.Series.Max > 0, "series::max: %d: must be above 0", c.Series.Max)
	check(c.Series.Idle >= time.Minute, "series::idle: %v is too short: use 1m or more", c.Series.Idle)
	check(c.IDC.Locality == "" || c.IDC.Metadata == "", "idc: set locality or metadata, not both")
	switch c.IDC.Locality {
	case "", "region", "zone", "sub_zone":
	default:
		check(false, "idc::locality: %q: must be region, zone or sub_zone", c.IDC.Locality)
	}
	for _, name := range c.Series.Drop {
		labels := mesh.DroppableLabels()
		check(slices.Contains(labels, name), "series::drop_labels: %q: must be one of %s", name, strings.Join(labels, ", "))
	}
	check(validPrefix(c.MetricPrefix), "metric_prefix: %q: must be letters, digits, _ and :, and not begin with a digit", c.MetricPrefix)
	check(c.RequestsFrom == "als" || c.RequestsFrom == "stats", "requests_from: %q: must be als or stats", c.RequestsFrom)
	check(c.Evidence == evidenceMTLS || c.Evidence == evidenceAny, "evidence: %q: must be mtls or any", c.Evidence)
	check(!slices.Contains(c.Ingress, ""), "ingress: an empty name: it would be that of every Envoy without an app")
	if _, err := c.Stats.keep(); err != nil {
		errs = append(errs, err)
	}
	for name, reporter := range c.Reporters {
		check(reporter == "source" || reporter == "destination", "reporters::%s: %q: must be source or destination", name, reporter)
	}
	return errors.Join(append(errs, c.validateRecords()...)...)
}

// validPrefix tells whether what begins with prefix can be the name of a metric.
func validPrefix(prefix string) bool {
	for i, c := range prefix {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
