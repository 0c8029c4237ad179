package alerting

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// killedEnv makes the test binary a gateway: its value is the directory with alertmanager.yml.
const (
	killedEnv = "LOCKKEEPER_TEST_ALERTING"
	chatEnv   = "LOCKKEEPER_TEST_CHAT" // the address of its notification plugin
)

// killable is a gateway in a process of its own.
type killable struct {
	directory, chat string
	address         string
	cmd             *exec.Cmd
}

// runKilled is that process. It says where its console is, and runs until it is killed.
func runKilled(directory string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	conn, err := grpc.NewClient(os.Getenv(chatEnv), grpc.WithTransportCredentials(insecure.NewCredentials()))
	fail(err)
	cfg := createDefaultConfig().(*Config)
	cfg.ConfigFile, cfg.DataDirectory = filepath.Join(directory, "alertmanager.yml"), filepath.Join(directory, "data")
	a, err := newAlerting(cfg, componenttest.NewNopTelemetrySettings())
	fail(err)
	c := &console{ServeMux: http.NewServeMux()}
	fail(a.Start(context.Background(), testHost{
		component.MustNewID("plugins"): &pluginHost{plugins: map[string]*plugin{"chat": {kind: "notification", conn: conn}}},
		component.MustNewID("console"): c,
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	fmt.Println(listener.Addr())
	fail(http.Serve(listener, c))
}

func newKillable(t *testing.T, config string, chat *plugin) *killable {
	t.Helper()
	k := &killable{directory: t.TempDir(), chat: chat.conn.Target()}
	require.NoError(t, os.WriteFile(filepath.Join(k.directory, "alertmanager.yml"), []byte(config), 0o600))
	t.Cleanup(k.kill)
	return k
}

func (k *killable) start(t *testing.T) {
	t.Helper()
	k.cmd = exec.Command(os.Args[0])
	k.cmd.Env = append(os.Environ(), killedEnv+"="+k.directory, chatEnv+"="+k.chat)
	var stderr bytes.Buffer
	k.cmd.Stderr = &stderr
	out, err := k.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, k.cmd.Start())
	var line [64]byte
	n, err := out.Read(line[:])
	require.NoError(t, err, "%v", &stderr)
	k.address = strings.TrimSpace(string(line[:n]))
}

func (k *killable) kill() {
	if k.cmd != nil {
		_ = k.cmd.Process.Kill()
		_ = k.cmd.Wait()
		k.cmd = nil
	}
}

// ask sends a request and gives the answer's body. An error of the connection is the caller's to expect.
func (k *killable) ask(method, path, body string) (string, error) {
	request, err := http.NewRequest(method, "http://"+k.address+"/alertmanager/api/v2"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}

func (k *killable) fire(t *testing.T, name string) {
	t.Helper()
	_, err := k.ask(http.MethodPost, "/alerts", fmt.Sprintf(`[{"labels":{"alertname":%q}}]`, name))
	require.NoError(t, err)
}

// A silence that was answered for holds, what was told of is not told again, and what nobody sends any more is over.
func TestKill(t *testing.T) {
	chat := serve(t, "notification")
	k := newKillable(t, quick+"global: {resolve_timeout: 5s}\n", chat)
	k.start(t)
	k.fire(t, "Gone")
	require.Equal(t, `{}:{alertname="Gone"}`, chat.next(t).GroupKey)
	silence, err := k.ask(http.MethodPost, "/silences", fmt.Sprintf(`{"matchers":[{"name":"alertname","value":"Quiet","isRegex":false,"isEqual":true}],`+
		`"startsAt":%q,"endsAt":%q,"createdBy":"oncall","comment":"being repaired"}`,
		time.Now().Format(time.RFC3339Nano), time.Now().Add(time.Hour).Format(time.RFC3339Nano)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { // that it was told of Gone is written a moment after
		told, _ := os.ReadFile(filepath.Join(k.directory, "data", toldFile))
		return bytes.Contains(told, []byte(`alertname="Gone"`))
	}, patience, 10*time.Millisecond)
	k.kill()

	k.start(t)
	id := strings.Split(silence, `"`)[3]
	silences, err := k.ask(http.MethodGet, "/silences", "")
	require.NoError(t, err)
	require.Contains(t, silences, id)
	require.Contains(t, silences, `"state":"active"`)
	k.fire(t, "Quiet")
	k.fire(t, "Loud")
	gone, loud := false, false
	for !gone || !loud { // in any order: a slow machine may take longer than the resolve timeout
		switch g := chat.next(t); g.GroupLabels["alertname"] {
		case "Gone":
			require.Equal(t, "resolved", g.Status, "it was told of before")
			gone = true
		case "Loud":
			loud = true
		default:
			t.Fatalf("%v is silenced", g)
		}
	}
	// expired is expired, too
	_, err = k.ask(http.MethodDelete, "/silence/"+id, "")
	require.NoError(t, err)
	k.kill()
	k.start(t)
	silences, err = k.ask(http.MethodGet, "/silences", "")
	require.NoError(t, err)
	require.Contains(t, silences, `"state":"expired"`)
}

// Whenever the gateway is killed, nothing is lost that is still so, and what is told of twice is told under the same key.
func TestKillAtAnyTime(t *testing.T) {
	chat := serve(t, "notification")
	k := newKillable(t, quick, chat)
	const rounds = 12
	for round := range rounds {
		k.start(t)
		for n := range 3 {
			k.fire(t, fmt.Sprintf("Alert%d-%d", round, n))
		}
		// not a wait for something: the moment of death is what varies
		time.Sleep(rand.N(30 * time.Millisecond))
		k.kill()
	}
	k.start(t)
	for round := range rounds { // whoever sends alerts sends them again
		for n := range 3 {
			k.fire(t, fmt.Sprintf("Alert%d-%d", round, n))
		}
	}
	told, total := map[string]int{}, 0
	for len(told) < rounds*3 {
		told[chat.next(t).GroupKey]++
	}
	for len(chat.groups) > 0 {
		told[chat.next(t).GroupKey]++
	}
	for key, times := range told {
		require.LessOrEqual(t, times, 2, key)
		total += times
	}
	t.Logf("%d kills: %d groups told of, %d twice", rounds, len(told), total-len(told))
}
