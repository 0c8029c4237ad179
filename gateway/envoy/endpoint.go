package envoy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
	"github.com/lockkeeper/lockkeeper/probes"
)

// evidenceOfTries says what was tried between two times, of each endpoint.
func evidenceOfTries(all []mesh.Tried, last, now time.Time) []probes.Evidence {
	evidence := make([]probes.Evidence, 0, len(all))
	for _, t := range all {
		evidence = append(evidence, probes.Evidence{
			Subject: "endpoint/" + t.Address, IDC: t.IDC, At: now, Next: 3 * evidenceInterval,
			Traffic: &probes.Traffic{
				Over: now.Sub(last), Requests: t.Requests, Failures: t.Failures, Flags: t.Flags, Callers: t.Callers,
				Cluster: t.Cluster, Failing: t.Failing, Succeeded: t.Succeeded, Began: t.Began,
			},
		})
	}
	return evidence
}

// certificateOf is what the other end of a stream has proved to have; nil: nothing.
func certificateOf(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	tls, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(tls.State.VerifiedChains) == 0 {
		return nil
	}
	return tls.State.VerifiedChains[0][0]
}

// caller names who calls when a node does. Whoever has one certificate is one caller, whatever node ids it claims; so nothing of the name is
// the node's word. Where everybody is believed it is empty: the node's id.
func (r *envoyReceiver) caller(ctx context.Context) string {
	certificate := certificateOf(ctx)
	if r.config.Evidence == evidenceAny || certificate == nil {
		return ""
	}
	name := certificate.Subject.CommonName
	if len(certificate.URIs) > 0 {
		name = certificate.URIs[0].String()
	} else if len(certificate.DNSNames) > 0 {
		name = cmp.Or(name, certificate.DNSNames[0])
	}
	sum := sha256.Sum256(certificate.Raw)
	return name + " " + hex.EncodeToString(sum[:8])
}
