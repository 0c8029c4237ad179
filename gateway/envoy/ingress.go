package envoy

import (
	"context"
	"crypto/x509"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
	"github.com/lockkeeper/lockkeeper/probes"
)

// Whose word counts as evidence.
const (
	evidenceMTLS = "mtls" // Envoys whose client certificate names them
	evidenceAny  = "any"
)

// evidenceInterval is how often it is told what entered.
const evidenceInterval = time.Second

// evidenceSink is what the receiver needs of an extension that decides by evidence: failover. It must return quickly.
type evidenceSink interface {
	Observe(evidence []probes.Evidence)
}

// watch has what enters the IDCs and what is tried at endpoints counted for the extensions that take evidence. Without one nothing is counted.
func (r *envoyReceiver) watch(extensions map[component.ID]component.Component) {
	for _, extension := range extensions {
		if sink, ok := extension.(evidenceSink); ok {
			r.sinks = append(r.sinks, sink)
		}
	}
	if len(r.sinks) > 0 {
		r.aggregator.WatchIngress()
		r.aggregator.WatchEndpoints(r.config.Evidence5xx)
	}
}

// tellEvidence tells the sinks every second what entered and what was tried, until the context ends.
func (r *envoyReceiver) tellEvidence(ctx context.Context) {
	tick := time.NewTicker(evidenceInterval)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := time.Now()
			evidence := append(evidenceOf(r.aggregator.Entered(), last, now), evidenceOfTries(r.aggregator.Tried(now), last, now)...)
			if len(evidence) > 0 {
				for _, sink := range r.sinks {
					sink.Observe(evidence)
				}
			}
			last = now
		}
	}
}

// evidenceOf says what entered between two times.
func evidenceOf(all []mesh.Entered, last, now time.Time) []probes.Evidence {
	finite := mesh.Bounds()
	bounds := append(finite[:], math.Inf(1))
	evidence := make([]probes.Evidence, 0, len(all))
	for _, in := range all {
		traffic := &probes.Traffic{
			Over: now.Sub(last), Requests: in.Requests, Failures: in.Failures, Flags: in.Flags, Callers: in.Callers,
			Durations: make([]uint64, len(bounds)), Bounds: bounds,
		}
		sum := uint64(0)
		for i, n := range in.Durations {
			sum += n
			traffic.Durations[i] = sum
		}
		evidence = append(evidence, probes.Evidence{
			Subject: "idc/" + in.IDC + "/entry", IDC: in.IDC, At: now, Next: 3 * evidenceInterval, Traffic: traffic,
		})
	}
	return evidence
}

// trusts tells whether what a node says in a stream may count as evidence.
func (r *envoyReceiver) trusts(ctx context.Context, n *mesh.Node) bool {
	if r.config.Evidence == evidenceAny {
		return true
	}
	certificate := certificateOf(ctx)
	return certificate != nil && certifies(certificate, n)
}

// certifies tells whether a certificate is of the node: Istio's names its namespace and service account, others its id or its workload (without
// WORKLOAD_NAME its cluster) as a DNS name or as the common name.
func certifies(certificate *x509.Certificate, n *mesh.Node) bool {
	account := n.Metadata("SERVICE_ACCOUNT")
	for _, id := range certificate.URIs {
		if account != "" && n.Namespace() != "" && isAccount(id, n.Namespace(), account) {
			return true
		}
	}
	given := append([]string{certificate.Subject.CommonName}, certificate.DNSNames...)
	return slices.Contains(given, n.ID) || n.Workload() != "" && slices.Contains(given, n.Workload())
}

// isAccount tells whether a SPIFFE id is that of a service account.
func isAccount(id *url.URL, namespace, account string) bool {
	return id.Scheme == "spiffe" && strings.TrimPrefix(id.Path, "/") == "ns/"+namespace+"/sa/"+account
}
