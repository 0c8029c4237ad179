package probes

import (
	"testing"

	"github.com/miekg/dns"
)

// Whatever a server sends is an answer, or is none.
func FuzzDNSAnswer(f *testing.F) {
	question := (&dns.Msg{}).SetQuestion("api.gslb.example.com.", dns.TypeA)
	question.Id = 7
	for _, rcode := range []int{dns.RcodeSuccess, dns.RcodeNameError} {
		packet, err := (&dns.Msg{}).SetRcode(question, rcode).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
	}
	f.Add([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	module := defaultModule("dns")
	module.DNS.QueryName, module.DNS.Expect = "api.gslb.example.com", []string{"127.1.0.1"}
	p := &dnsProber{module: &module.DNS}
	f.Fuzz(func(t *testing.T, packet []byte) {
		answer := &dns.Msg{}
		if isAnswer(question, answer, packet) == nil {
			_ = p.judge(answer)
			p.measure(newAttempt(), answer)
		}
	})
}
