package stats

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// sinks are the options of the stats sinks that the Envoys of the tests have, by name.
func sinks() map[string][]string {
	return map[string][]string{
		"plain":  {},
		"tags":   {"emit_tags_as_labels: true"},
		"deltas": {"report_counters_as_deltas: true"},
		"batch":  {"batch_size: 100", "emit_tags_as_labels: true"},
	}
}

// service is a metrics service that keeps what it gets of one sink.
type service struct {
	mu       sync.Mutex
	messages [][]byte
	came     chan struct{} // a message did
}

// rawCodec leaves messages encoded.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(any) (mem.BufferSlice, error) { return nil, nil }

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// serve runs a service and returns its port.
func (s *service) serve(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.metrics.v3.MetricsService", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "StreamMetrics", ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			for {
				var m []byte
				if err := stream.RecvMsg(&m); err != nil {
					return err
				}
				s.mu.Lock()
				s.messages = append(s.messages, m)
				s.mu.Unlock()
				select {
				case s.came <- struct{}{}:
				default:
				}
			}
		}}},
	}, nil)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().(*net.TCPAddr).Port
}

// more waits until n more messages have come.
func (s *service) more(t *testing.T, n int) {
	t.Helper()
	s.mu.Lock()
	want := len(s.messages) + n
	s.mu.Unlock()
	deadline := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		have := len(s.messages)
		s.mu.Unlock()
		if have >= want {
			return
		}
		select {
		case <-s.came:
		case <-deadline:
			t.Fatalf("%d of %d messages came", have, want)
		}
	}
}

// envoy is a running Envoy.
type envoy struct {
	t        *testing.T
	admin    string
	services map[string]*service
	at       map[string]string // addresses of its listeners
}

// startEnvoy runs an Envoy whose sinks send to services, with a plain application behind it.
func startEnvoy(t *testing.T, rich bool) *envoy {
	t.Helper()
	binary, err := filepath.Abs("../../../.cache/venv/bin/envoy")
	if err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		if strings.Contains(","+os.Getenv("LOCKKEEPER_REQUIRE")+",", ",envoy,") {
			t.Fatal(err)
		}
		t.Skip("no Envoy: `make demo` fetches it")
	}
	e := &envoy{t: t, services: map[string]*service{}, at: map[string]string{}}
	ports := map[string]int{}
	for name := range sinks() {
		e.services[name] = &service{came: make(chan struct{}, 1)}
		ports[name] = e.services[name].serve(t)
	}
	app, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })}
	go func() { _ = server.Serve(app) }()
	t.Cleanup(func() { _ = server.Close() })
	tls, err := net.Listen("tcp", "127.0.0.1:0") // for a free port
	require.NoError(t, err)
	require.NoError(t, tls.Close())

	dir := t.TempDir()
	routes := filepath.Join(dir, "routes.yaml")
	require.NoError(t, os.WriteFile(routes, []byte(`resources: [{"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: 80.routes}]`), 0o600))
	certificate, key := selfSigned(t)
	var config bytes.Buffer
	require.NoError(t, template.Must(template.ParseFiles("testdata/envoy.yaml.tmpl")).Execute(&config, map[string]any{
		"Sinks": sinks(), "Ports": ports, "Rich": rich, "App": app.Addr().(*net.TCPAddr).Port, "TLSPort": tls.Addr().(*net.TCPAddr).Port,
		"Routes": strconv.Quote(routes), "Certificate": strconv.Quote(certificate), "Key": strconv.Quote(key),
	}))
	file, admin := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin")
	require.NoError(t, os.WriteFile(file, config.Bytes(), 0o600))
	var log bytes.Buffer
	command := exec.Command(binary, "-c", file, "--admin-address-path", admin, "--disable-hot-restart", "--concurrency", "1", "-l", "warn")
	command.Stdout, command.Stderr = &log, &log
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("Envoy said:\n%.2000s", log.Bytes())
		}
	})
	require.Eventually(t, func() bool {
		address, err := os.ReadFile(admin)
		e.admin = string(address)
		return err == nil && e.admin != "" && strings.HasPrefix(e.get("/ready"), "LIVE")
	}, 30*time.Second, 50*time.Millisecond)
	var listeners struct {
		Listeners []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	require.NoError(t, json.Unmarshal([]byte(e.get("/listeners?format=json")), &listeners))
	for _, l := range listeners.Listeners {
		e.at[l.Name] = net.JoinHostPort(l.Address.Socket.Address, strconv.Itoa(l.Address.Socket.Port))
	}
	return e
}

// get asks Envoy's admin interface; "" when it does not answer.
func (e *envoy) get(path string) string {
	response, err := http.Get("http://" + e.admin + path)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	b, _ := io.ReadAll(response.Body)
	return string(b)
}

// request sends one request to the HTTP listener.
func (e *envoy) request(path string, header ...string) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, "http://"+e.at["ingress"]+path, nil)
	require.NoError(e.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(e.t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	require.NoError(e.t, response.Body.Close())
}

// talk sends bytes to a listener and waits until it hangs up or a while is over.
func (e *envoy) talk(listener, text string) {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.at[listener])
	require.NoError(e.t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, text)
	require.NoError(e.t, err)
	require.NoError(e.t, conn.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	_, _ = io.Copy(io.Discard, conn)
}

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", encoded)
}

// fed returns a Sink that was fed with messages.
func fed(t *testing.T, messages [][]byte) *Sink {
	t.Helper()
	k := New(Options{}, time.Now())
	node, err := mesh.ReadNode(messages[0], mesh.IDCSource{})
	require.NoError(t, err)
	s := k.Open(node)
	defer s.Close()
	for _, m := range messages {
		require.NoError(t, s.Add(m))
	}
	return k
}
