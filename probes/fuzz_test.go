package probes

import (
	"net/netip"
	"testing"
)

// What parses can be probed: nothing later finds it wrong.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		"", "a", "a:1", "[::1]:80", "http://a/b?c#d", "https://[fe80::1%25eth0]:443", "http://a:99999", "://", "http://%zz", "a b", "::1", "1.2.3.4",
		"idc/idc1/entry", "machine/m1", "endpoint/[::1]:80", "dns/ns1", "machine/", "idc//mesh", "127.0.0.1:0", "\x00", "http://user:secret@a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if u, err := parseURL(text); err == nil {
			if _, _, err := splitHostPort(authority(u)); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if _, err := (&httpProber{module: &HTTPModule{Method: "GET"}}).request(t.Context(), u); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		if host, port, err := splitHostPort(text); err == nil && (!isHost(host) || port == 0) {
			t.Errorf("%q is host %q, port %d", text, host, port)
		}
		if ip, _, err := splitAddress(text); err == nil && !ip.IsValid() {
			t.Errorf("%q is %v", text, ip)
		}
		if idc, err := idcOf(text); err == nil && idc != "" && !isName(idc) {
			t.Errorf("%q is of %q", text, idc)
		}
		if _, err := netip.ParseAddr(text); err == nil && !isHost(text) {
			t.Errorf("%q is no host", text)
		}
	})
}

func FuzzBytes(f *testing.F) {
	for _, seed := range []string{"1", "1MB", "512 KiB", "-1", "1TB", "99999999999GB", "B", "", "1iB"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b, again Bytes
		if b.UnmarshalText([]byte(text)) != nil {
			return
		}
		out, err := b.MarshalText()
		if err != nil || again.UnmarshalText(out) != nil && b < 1<<31 || b < 1<<31 && again != b {
			t.Errorf("%q is %d, and then %d", text, b, again)
		}
	})
}
