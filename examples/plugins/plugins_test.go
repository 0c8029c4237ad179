// Package plugins runs the example plugins: the same notifier in each language, held to the same behaviour.
package plugins

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func TestGo(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "notification-go")
	if out, err := exec.Command("go", "build", "-o", binary, "./go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testPlugin(t, binary)
}

func TestPython(t *testing.T) {
	script, err := filepath.Abs("python/notification.py")
	if err != nil {
		t.Fatal(err)
	}
	wrapper := filepath.Join(t.TempDir(), "notification-python")
	// -B: no __pycache__ in the source tree.
	if err := os.WriteFile(wrapper, fmt.Appendf(nil, "#!/bin/sh\nexec %s -B %s \"$@\"\n", python(t), script), 0o755); err != nil {
		t.Fatal(err)
	}
	testPlugin(t, wrapper)
}

// testPlugin asks of a notifier what the gateway relies on, in each way that it can run, and what its README says of it.
func testPlugin(t *testing.T, binary string) {
	url, _ := stub(t, http.StatusOK)
	config := map[string]any{"url": url, "token": "t0ken"}
	t.Run("process", func(t *testing.T) { sdktest.Process(t, binary, config) })
	t.Run("address", func(t *testing.T) { sdktest.Address(t, listen(t, binary), nil, config) })
	t.Run("address with mutual TLS", func(t *testing.T) {
		keys := newAuthority(t)
		sdktest.Address(t, listen(t, binary, keys.flags()...), keys.client, config)
	})
	t.Run("lockkeeper plugin test", func(t *testing.T) { testCommand(t, binary, config) })
	t.Run("what it sends", func(t *testing.T) { testSends(t, binary) })
	t.Run("what it answers", func(t *testing.T) { testAnswers(t, binary) })
	t.Run("configuration", func(t *testing.T) { testConfiguration(t, binary) })
	t.Run("health while it is busy", func(t *testing.T) { testBusy(t, binary) })
	t.Run("strangers", func(t *testing.T) { testStrangers(t, binary) })
}

// testCommand has the command check a server that takes calls from one client alone.
func testCommand(t *testing.T, binary string, config map[string]any) {
	const lockkeeper = "../../bin/lockkeeper"
	if _, err := os.Stat(lockkeeper); err != nil {
		skip(t, "plugins", lockkeeper+" is missing: make build")
	}
	settings, err := json.Marshal(config) // is YAML, too
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	keys := newAuthority(t)
	out, err := exec.CommandContext(t.Context(), lockkeeper, "plugin", "test", "--address", listen(t, binary, keys.flags()...),
		"--ca-file", keys.ca, "--cert-file", keys.clientCert, "--key-file", keys.clientKey, "--config", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 failed") {
		t.Errorf("%v\n%s", err, out)
	}
}

func testSends(t *testing.T, binary string) {
	url, requests := stub(t, http.StatusNoContent)
	conn := dial(t, listen(t, binary), insecure.NewCredentials())
	configure(t, conn, fmt.Sprintf(`{"url":%q,"token":"t0ken"}`, url))
	f := func(group, want string) {
		t.Helper()
		if err := notify(t, conn, group); err != nil {
			t.Error(err)
			return
		}
		got := requests()
		if len(got) != 1 || got[0] != "POST Bearer t0ken "+want {
			t.Errorf("%q\nwant POST Bearer t0ken %s", got, want)
		}
	}
	// As Alertmanager has it.
	f(`{"status":"firing","alerts":[{"status":"firing","labels":{"alertname":"HighErrorRate","idc":"idc1"}},{"status":"resolved"},{"status":"firing"}],
		"commonLabels":{"alertname":"HighErrorRate"},"commonAnnotations":{"summary":"5 % of requests fail"}}`,
		"FIRING HighErrorRate: 2 firing, 1 resolved: 5 % of requests fail")
	// Nothing in common.
	f(`{"status":"resolved","alerts":[{"status":"resolved"}],"commonLabels":{},"commonAnnotations":{}}`, "RESOLVED alerts: 0 firing, 1 resolved")
	// Nothing at all, and what a newer gateway may add.
	f(`{"status":"resolved","alerts":null,"newer":{"a":[1]}}`, "RESOLVED alerts: 0 firing, 0 resolved")
	// What would not be one line, or not text.
	f(`{"status":"firing","alerts":[],"commonLabels":{"alertname":"Größe <b>"},"commonAnnotations":{"summary":" a\r\nb\t\u001b[31m\u0000c\u2028 "}}`,
		"FIRING Größe <b>: 0 firing, 0 resolved: a b [31m c")
	// Too long.
	f(`{"status":"firing","alerts":[],"commonAnnotations":{"summary":"`+strings.Repeat("ü", 2000)+`"}}`,
		"FIRING alerts: 0 firing, 0 resolved: "+strings.Repeat("ü", 1000-len("FIRING alerts: 0 firing, 0 resolved: ")))
}

func testAnswers(t *testing.T, binary string) {
	const secret = "/T0ken-in-the-path"
	f := func(url, group string, want codes.Code, says string) {
		t.Helper()
		conn := dial(t, listen(t, binary), insecure.NewCredentials())
		configure(t, conn, fmt.Sprintf(`{"url":%q}`, url+secret))
		err := notify(t, conn, group)
		if status.Code(err) != want || !strings.Contains(status.Convert(err).Message(), says) {
			t.Errorf("%v, want %v and %q", err, want, says)
		}
		if strings.Contains(status.Convert(err).Message(), secret) {
			t.Errorf("%v tells the url, which may be a secret", err)
		}
	}
	answers := func(code int) string {
		url, _ := stub(t, code)
		return url
	}
	const group = `{"status":"firing","alerts":[]}`
	f(answers(http.StatusOK), group, codes.OK, "")
	f(answers(http.StatusFound), group, codes.InvalidArgument, "302")
	f(answers(http.StatusForbidden), group, codes.InvalidArgument, "403")
	f(answers(http.StatusRequestTimeout), group, codes.Unavailable, "408")
	f(answers(http.StatusTooManyRequests), group, codes.Unavailable, "429")
	f(answers(http.StatusServiceUnavailable), group, codes.Unavailable, "503")
	f("http://127.0.0.1:1", group, codes.Unavailable, "the url does not answer")
	f(answers(http.StatusOK), `{"alerts":7}`, codes.InvalidArgument, "webhook")
	f(answers(http.StatusOK), `{"alerts":["x"]}`, codes.InvalidArgument, "webhook")
	f(answers(http.StatusOK), `{"alerts":[],"commonLabels":"x"}`, codes.InvalidArgument, "webhook")
	f(answers(http.StatusOK), `{"alerts":[],"commonAnnotations":{"summary":"half a \ud800 character"}}`, codes.OK, "")
	f(answers(http.StatusOK), strings.Repeat("[", 100_000), codes.InvalidArgument, "webhook")
	f(answers(http.StatusOK), `FIRING`, codes.InvalidArgument, "webhook")
}

func testConfiguration(t *testing.T, binary string) {
	f := func(config string, says ...string) {
		t.Helper()
		err := tryConfigure(t, dial(t, listen(t, binary), insecure.NewCredentials()), config)
		message := status.Convert(err).Message()
		if status.Code(err) != codes.InvalidArgument || slices.ContainsFunc(says, func(word string) bool { return !strings.Contains(message, word) }) ||
			strings.Contains(message, "s3cret") {
			t.Errorf("%s: %v, want InvalidArgument, %q and not the value", config, err, says)
		}
	}
	f(`{}`, "url")
	f(`{"url":"ftp://s3cret"}`, "url")
	f(`{"url":{"a":"s3cret"},"tokn":"s3cret"}`, "url", "tokn")
	f(`{"url":"http://x","token":["s3cret"]}`, "token")
	f(`["s3cret"]`)
	f(`{"url":"s3cret`)
}

// testBusy has more notifications under way than the plugin takes at once: the gateway restarts one whose Health does not answer.
func testBusy(t *testing.T, binary string) {
	const most = 100
	arrived, answer := make(chan struct{}, most), make(chan struct{})
	channel := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-answer
	}))
	defer channel.Close()
	conn := dial(t, listen(t, binary), insecure.NewCredentials())
	configure(t, conn, fmt.Sprintf(`{"url":%q}`, channel.URL))
	var callers sync.WaitGroup
	refused := make(chan error, most)
	for range most {
		callers.Go(func() {
			if err := notify(t, conn, `{"status":"firing","alerts":[]}`); err != nil {
				refused <- err
			}
		})
	}
	for range most { // each has arrived or is refused
		select {
		case <-arrived:
		case err := <-refused:
			if status.Code(err) != codes.Unavailable {
				t.Error(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := pluginv1.NewPluginClient(conn).Health(ctx, new(pluginv1.HealthRequest)); err != nil {
		t.Error(err)
	}
	close(answer)
	callers.Wait()
	close(refused)
	for err := range refused {
		t.Errorf("one that had arrived: %v", err)
	}
}

func testStrangers(t *testing.T, binary string) {
	keys := newAuthority(t)
	address := listen(t, binary, keys.flags()...)
	url, requests := stub(t, http.StatusOK)
	config := fmt.Sprintf(`{"url":%q}`, url)
	conn := dial(t, address, credentials.NewTLS(keys.client))
	configure(t, conn, config)
	if err := notify(t, conn, `{"status":"firing","alerts":[]}`); err != nil || len(requests()) != 1 {
		t.Error(err)
	}
	for what, stranger := range map[string]credentials.TransportCredentials{
		"no certificate":                  credentials.NewTLS(&tls.Config{RootCAs: keys.client.RootCAs, MinVersion: tls.VersionTLS12}),
		"one that another CA has signed":  credentials.NewTLS(&tls.Config{RootCAs: keys.client.RootCAs, Certificates: newAuthority(t).client.Certificates, MinVersion: tls.VersionTLS12}),
		"no TLS":                          insecure.NewCredentials(),
		"TLS that trusts only another CA": credentials.NewTLS(newAuthority(t).client),
	} {
		if err := tryConfigure(t, dial(t, address, stranger), config); status.Code(err) != codes.Unavailable {
			t.Errorf("a gateway with %s: %v, want Unavailable", what, err)
		}
	}
}
