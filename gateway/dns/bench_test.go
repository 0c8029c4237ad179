package dns

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// manyNames is a zone of so many names, each with an address in both IDCs.
func manyNames(count int) Zone {
	z := testZone()
	z.Names = map[string]Name{}
	for i := range count {
		z.Names[fmt.Sprintf("name%d", i)] = name(5*time.Second, addrs("127.1.0.1"), addrs("127.2.0.1"))
	}
	return z
}

func bigTable(t testing.TB) *table {
	made, err := compile([]Zone{manyNames(300)}, weights(9900, 100), 42, nil)
	require.NoError(t, err)
	return made
}

func BenchmarkFast(b *testing.B) {
	made := bigTable(b)
	f := func(name string, m *dns.Msg) {
		b.Run(name, func(b *testing.B) {
			packet, err := m.Pack()
			require.NoError(b, err)
			b.ReportAllocs()
			dst := make([]byte, 0, maxUDP)
			for b.Loop() {
				if _, ok := made.fast(dst, packet); !ok {
					b.Fatal("slow")
				}
			}
		})
	}
	f("plain", query("name123.gslb.example.com", dns.TypeA))
	f("edns", withOPT(query("nAme123.gslb.Example.com", dns.TypeA), 1232, true))
	f("nodata", query("name123.gslb.example.com", dns.TypeAAAA))
	f("no such type", query("name123.gslb.example.com", dns.TypeMX))
	f("no such name", withOPT(query("nobody.gslb.example.com", dns.TypeA), 1232, true))
	f("no zone of ours", query("example.org", dns.TypeANY))
}

func BenchmarkSlow(b *testing.B) {
	made := newTable(b, weights(9900, 100))
	f := func(name string, m *dns.Msg) {
		b.Run(name, func(b *testing.B) {
			packet, err := m.Pack()
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				made.slow(packet, true)
			}
		})
	}
	f("answer", withOPT(query("api.gslb.example.com", dns.TypeA), 1232, true))
	subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(192, 0, 2, 0)}
	f("no such name", withOPT(query("nobody.gslb.example.com", dns.TypeA), 1232, true, subnet))
}

func BenchmarkCompile(b *testing.B) {
	made := bigTable(b)
	b.ReportAllocs()
	for b.Loop() {
		_, err := compile(nil, weights(3333, 6667), 42, made)
		require.NoError(b, err)
	}
}
