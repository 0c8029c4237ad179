package envoy

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// schemaURL is the version of OpenTelemetry's semantic conventions that attributes have their names from.
const schemaURL = "https://opentelemetry.io/schemas/1.43.0"

// Bounds of what a record takes from an entry. A text that is longer is cut and ends in "…".
const (
	maxPath          = 2 << 10
	maxText          = 1 << 10
	maxAttributeName = 128
	maxForeign       = 64 // headers and tags of a record; dropped_attributes_count has how many are beyond
)

// attributes are written to a record or to a resource. What is empty or zero is left out.
type attributes struct {
	pcommon.Map
	bytes   int    // at most so many in OTLP
	foreign int    // whose names somebody else chose
	dropped uint32 // foreign ones beyond the bound
}

func (a *attributes) add(name string, bytes int) { a.bytes += len(name) + bytes + 24 }

func (a *attributes) text(name, value string) { a.long(name, value, maxText) }

func (a *attributes) long(name, value string, limit int) {
	if value != "" {
		value = shorten(value, limit)
		a.PutStr(name, value)
		a.add(name, len(value))
	}
}

func (a *attributes) number(name string, value uint64) {
	if value != 0 {
		a.PutInt(name, int64(value))
		a.add(name, 0)
	}
}

func (a *attributes) milliseconds(name string, d *durationpb.Duration) {
	if d.CheckValid() == nil {
		a.PutDouble(name, float64(d.AsDuration().Nanoseconds())/1e6)
		a.add(name, 0)
	}
}

func (a *attributes) texts(name string, values ...string) {
	if len(values) == 0 {
		return
	}
	all := a.PutEmptySlice(name)
	all.EnsureCapacity(len(values))
	for _, value := range values {
		value = shorten(value, maxText)
		all.AppendEmpty().SetStr(value)
		a.bytes += len(value) + 12
	}
	a.add(name, 0)
}

// headers writes headers as OpenTelemetry does: each an array of one text.
func (a *attributes) headers(prefix string, headers map[string]string) {
	for _, name := range a.admit(headers) {
		a.texts(prefix+attributeName(name), headers[name])
	}
}

func (a *attributes) tags(tags map[string]string) {
	for _, name := range a.admit(tags) {
		a.text("envoy.tag."+attributeName(name), tags[name])
	}
}

// admit returns as many names, in order, as the bound of foreign ones allows.
func (a *attributes) admit(values map[string]string) []string {
	names := slices.Sorted(maps.Keys(values))
	n := min(len(names), maxForeign-a.foreign)
	a.foreign += n
	a.dropped += uint32(len(names) - n)
	return names[:n]
}

// attributeName makes a header's or a tag's name one that can end an attribute's name.
func attributeName(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '/':
			return c
		}
		return '_'
	}, shorten(s, maxAttributeName))
}

// shorten cuts a text between two characters, so that it has at most limit bytes.
func shorten(s string, limit int) string {
	const mark = "…"
	if len(s) <= limit {
		return s
	}
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// resource describes the node that sent an entry, and the workload that it belongs to.
func (r *recorder) resource(n *mesh.Node) pcommon.Resource {
	resource := pcommon.NewResource()
	a := attributes{Map: resource.Attributes()}
	a.text("service.name", n.App())
	a.text("service.version", n.Version())
	a.text("service.namespace", n.Namespace())
	a.text("service.instance.id", n.ID)
	if kind, name := owner(n.Metadata("OWNER")); kind != "" {
		a.text("k8s."+kind+".name", name)
		a.text("k8s.pod.name", n.Metadata("NAME"))
		a.text("k8s.namespace.name", n.Metadata("NAMESPACE"))
		a.text("k8s.node.name", n.Metadata("NODE_NAME"))
		a.text("k8s.cluster.name", n.Metadata("CLUSTER_ID"))
	}
	a.text("cloud.region", n.Metadata("LABELS/topology.kubernetes.io/region"))
	a.text("cloud.availability_zone", n.Metadata("LABELS/topology.kubernetes.io/zone"))
	a.text("container.id", n.Metadata("CONTAINER_ID"))
	a.text("deployment.id", n.Metadata("DEPLOYMENT_ID"))
	a.text("service.id", n.Metadata("SERVICE_ID"))
	a.text("node", n.ID)
	a.text("log_name", n.LogName)
	a.text("idc", n.IDC)
	a.text("gateway", r.config.Gateway)
	for _, configured := range r.attributes {
		a.text(configured.name, n.Metadata(configured.Metadata))
	}
	return resource
}

// owner reads Istio's OWNER, kubernetes://apis/apps/v1/namespaces/NAMESPACE/deployments/NAME, as a kind and a name. The kind is
// empty of what is not a workload of Kubernetes.
func owner(s string) (kind, name string) {
	path, ok := strings.CutPrefix(s, "kubernetes://apis/")
	parts := strings.Split(path, "/")
	if !ok || len(parts) < 3 {
		return "", ""
	}
	switch kinds := parts[len(parts)-2]; kinds {
	case "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs":
		return strings.TrimSuffix(kinds, "s"), parts[len(parts)-1]
	case "pods":
		return "pod", parts[len(parts)-1]
	}
	return "", ""
}

// resourceBytes is at most how many bytes a resource has in OTLP.
func resourceBytes(r *pcommon.Resource) int {
	bytes := 256 // schema URL, scope
	for name, value := range r.Attributes().All() {
		bytes += len(name) + len(value.Str()) + 24
	}
	return bytes
}
