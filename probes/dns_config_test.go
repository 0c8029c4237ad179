package probes

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Of what can be written as one word or as a list, both are read.
func TestDNSConfig(t *testing.T) {
	c := loadText(t, `
modules:
  served: {prober: dns, dns: {query_name: api.gslb.example.com, expect: serving}}
  fixed: {prober: dns, dns: {query_name: api.gslb.example.com, expect: [127.1.0.1, 127.2.0.1], ttl: {min: 1s, max: 60s}, agree: ["127.2.0.53:53"]}}
  theirs: # as blackbox_exporter's example has it
    prober: dns
    timeout: 5s
    dns:
      transport_protocol: udp
      preferred_ip_protocol: ip4
      query_name: www.prometheus.io
      query_type: A
      valid_rcodes: [NOERROR]
      validate_answer_rrs:
        fail_if_matches_regexp: [".*127.0.0.1"]
        fail_if_not_matches_regexp: ["www.prometheus.io.\t300\tIN\tA\t127.0.0.1"]
      validate_authority_rrs: {fail_if_matches_regexp: [".*127.0.0.1"]}
      validate_additional_rrs: {fail_if_matches_regexp: [".*127.0.0.1"]}
targets:
  - {module: served, target: "127.1.0.53:53", subject: dns/idc1, interval: 5s}
  - {module: fixed, target: "127.1.0.53", subject: dns/idc1}
  - {module: fixed, target: "::1", subject: dns/idc1}
  - {module: theirs, target: ns1.example.com}
`)
	require.Equal(t, []string{asServed}, c.Modules["served"].DNS.Expect)
	require.Equal(t, []string{"127.1.0.1", "127.2.0.1"}, c.Modules["fixed"].DNS.Expect)
	require.Equal(t, TTLRange{Min: time.Second, Max: time.Minute}, c.Modules["fixed"].DNS.TTL)
	require.True(t, c.Modules["theirs"].DNS.RecursionDesired)
	for server, want := range map[string]uint16{"::1": 53, "[::1]:5353": 5353, "ns1": 53, "ns1:54": 54} {
		_, port, err := splitServer(server)
		require.NoError(t, err)
		require.Equal(t, want, port)
	}
}
