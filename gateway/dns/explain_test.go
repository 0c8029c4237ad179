package dns

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

func TestExplain(t *testing.T) {
	serving := &xds.Serving{
		Version: 1_800_000_000_000, At: time.UnixMilli(1_800_000_000_000).UTC(), Degraded: true,
		IDCs: map[string]xds.IDC{"idc1": {Entry: 0, Why: "dead: 5 of 5 probes failed"}, "idc2": {Entry: 10_000, Why: "the other is dead"}},
	}
	from := newTable(t, serving)
	for range 3 {
		ask(t, from, query("api.gslb.example.com", dns.TypeA))
	}
	b, err := json.MarshalIndent(from.explain("API.gslb.example.com"), "", " ")
	require.NoError(t, err)
	require.JSONEq(t, `{
		"name": "api.gslb.example.com.", "zone": "gslb.example.com.", "answer": "A: of idc2 only; AAAA: of idc2 only",
		"ttl": 2, "serial": 42, "version": 1800000000000, "at": "2027-01-15T08:00:00Z", "degraded": true,
		"idcs": [
			{"idc": "idc1", "entry": 0, "known": true, "share": {"A": 0, "AAAA": 0}, "answered": {"A": 0, "AAAA": 0},
			 "addresses": ["127.1.0.1", "fd00:1::1"], "why": "dead: 5 of 5 probes failed"},
			{"idc": "idc2", "entry": 10000, "known": true, "share": {"A": 100, "AAAA": 100}, "answered": {"A": 3, "AAAA": 0},
			 "addresses": ["127.2.0.1", "fd00:2::1"], "why": "the other is dead"}]}`, string(b))
}

func TestExplainAnswer(t *testing.T) {
	f := func(serving *xds.Serving, name, want string) {
		t.Helper()
		require.Equal(t, want, newTable(t, serving).explain(name).Answer)
	}
	f(weights(5000, 5000), "api.gslb.example.com", "A: one address, IDCs in turns by weight; AAAA: one address, IDCs in turns by weight")
	f(weights(5000, 5000), "all.gslb.example.com", "A: all addresses, the first in turns; AAAA: no data")
	f(weights(2500, 7500), "all.gslb.example.com", "A: all addresses of one IDC, IDCs in turns by weight; AAAA: no data")
	f(weights(0, 10_000), "only1.gslb.example.com", "A: of idc1 only, all alike since no IDC of it has a weight; AAAA: no data")
	f(nil, "gslb.example.com", "the zone itself: SOA and NS")
	f(nil, "ns1.gslb.example.com", "the addresses of a name server, always the same")
	f(nil, "in.a.gslb.example.com", "no data: only longer names end with it")
	f(nil, "nobody.gslb.example.com", "NXDOMAIN: the zone has no such name; resolvers remember it for 5s")
	f(nil, "api.example.com", "REFUSED: it is in no zone of this server, which answers for gslb.example.com.")
	f(nil, "not..a.name", "REFUSED: it is in no zone of this server, which answers for gslb.example.com.")
	f(nil, "", "REFUSED: it is in no zone of this server, which answers for gslb.example.com.")
}

func TestExplainShare(t *testing.T) {
	x := newTable(t, weights(2500, 7500)).explain("three.gslb.example.com")
	require.Len(t, x.IDCs, 3)
	require.Equal(t, map[string]float64{"A": 25}, x.IDCs[0].Share)
	require.Equal(t, map[string]float64{"A": 75}, x.IDCs[1].Share)
	require.Equal(t, map[string]float64{"A": 0}, x.IDCs[2].Share)
	require.False(t, x.IDCs[2].Known)
	require.Equal(t, "nothing is known of this IDC: it is not among those that failover is told of", x.IDCs[2].Why)
	require.Equal(t, "nothing is known of any IDC: all are answered alike", newTable(t, nil).explain("api.gslb.example.com").IDCs[0].Why)
}
