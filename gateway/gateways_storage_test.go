package main

import (
	"fmt"
	"net/url"
	"testing"
	"time"
)

// An Envoy that goes on at another gateway doubles nothing in the storage that both write to, and hides nothing; nor does what gateways tell of themselves.
// The second one has no storage and sends by OTLP.
func TestEnvoyMovesToAnotherGateway(t *testing.T) {
	plugins := needsPlugins(t)
	a, b, gossip := freeAddresses(t), freeAddresses(t), freeAddress(t)
	startRun(t, "--config", a.config(t, plugins), "--config", writeFile(t, fmt.Sprintf(`
extensions: {cluster: {name: berlin, site: idc1, endpoint: %q}}
service:
  extensions: [file_storage, plugins, console, cluster]
`, gossip))).expect(t, "Lockkeeper is ready")
	startRun(t, "--config", b.config(t, plugins), "--config", writeFile(t, fmt.Sprintf(`
extensions: {cluster: {name: tokyo, site: idc2, endpoint: %q, join: [%q]}}
exporters: {otlp: {endpoint: %q, tls: {insecure: true}}}
service:
  extensions: [file_storage, cluster]
  pipelines: {metrics: {exporters: [otlp]}}
`, freeAddress(t), gossip, a.grpc))).expect(t, "Lockkeeper is ready")
	query := func(expression string) string {
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		getJSON(t, "http://"+a.console+"/prometheus/api/v1/query?query="+url.QueryEscape(expression), &answer)
		if len(answer.Data.Result) == 0 {
			return ""
		}
		return fmt.Sprint(answer.Data.Result[0].Value[1])
	}
	until := func(expression, want string) {
		t.Helper()
		got := ""
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			if got = query(expression); got == want {
				return
			}
		}
		t.Errorf("%s is %s, want %s", expression, got, want)
	}
	const entries = 5000
	for n, sink := range []string{a.sink, b.sink} {
		s, err := newSender(sink, 1) // the same node with the same requests
		if err != nil {
			t.Fatal(err)
		}
		if err := s.send(entries); err != nil {
			t.Fatal(err)
		}
		_ = s.stream.CloseSend()
		until(fmt.Sprintf(`sum(istio_requests_total) >= bool %d`, entries*(n+1)), "1")
		_ = s.conn.Close()
	}
	each := query(`sum(istio_requests_total{gateway="berlin"})`)
	until(`sum(istio_requests_total{gateway="tokyo"})`, each)
	until(`sum(increase(istio_requests_total[10m])) / 2`, each)
	until(`sum(increase(istio_request_bytes_count[10m])) / 2`, each)
	for _, gateway := range []string{"berlin", "tokyo"} {
		until(fmt.Sprintf(`count(up{job="lockkeeper",gateway=%q})`, gateway), "1")
	}
	until(`count({job="lockkeeper",gateway=""})`, "")
	t.Logf("%s requests at each gateway", each)
}
