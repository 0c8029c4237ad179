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
  pipelines: {metrics: {exporters: [otlp]}, logs: {exporters: [otlp]}}
`, freeAddress(t), gossip, a.grpc))).expect(t, "Lockkeeper is ready")
	const entries = 5000
	for n, sink := range []string{a.sink, b.sink} {
		sendOnce(t, sink, entries) // the same node with the same requests
		a.until(t, fmt.Sprintf(`sum(istio_requests_total) >= bool %d`, entries*(n+1)), "1")
	}
	each := a.query(t, `sum(istio_requests_total{gateway="berlin"})`)
	a.until(t, `sum(istio_requests_total{gateway="tokyo"})`, each)
	a.until(t, `sum(increase(istio_requests_total[10m])) / 2`, each)
	a.until(t, `sum(increase(istio_request_bytes_count[10m])) / 2`, each)
	for _, gateway := range []string{"berlin", "tokyo"} {
		a.until(t, fmt.Sprintf(`count(up{job="lockkeeper",gateway=%q})`, gateway), "1")
	}
	a.until(t, `count({job="lockkeeper",gateway=""})`, "")
	t.Logf("%s requests at each gateway", each)
}

// sendOnce sends entries over a stream of its own, always as the same node.
func sendOnce(t *testing.T, sink string, entries int) {
	t.Helper()
	s, err := newSender(sink, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.send(entries); err != nil {
		t.Fatal(err)
	}
	_ = s.stream.CloseSend()
	t.Cleanup(func() { _ = s.conn.Close() })
}

// query asks the gateway's storage for one number; empty: there is none.
func (a addresses) query(t *testing.T, expression string) string {
	t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	getJSON(t, "http://"+a.console+"/prometheus/api/v1/query?query="+url.QueryEscape(expression), &answer)
	if len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

// until waits for an answer.
func (a addresses) until(t *testing.T, expression, want string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if got = a.query(t, expression); got == want {
			return
		}
	}
	t.Errorf("%s is %s, want %s", expression, got, want)
}
