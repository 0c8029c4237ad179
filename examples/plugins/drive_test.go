package plugins

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const patience = 30 * time.Second

// listen starts the plugin as a server of its own and tells its address.
func listen(t *testing.T, binary string, arguments ...string) string {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"--listen", "127.0.0.1:0"}, arguments...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var copied sync.WaitGroup
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		copied.Wait()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s after SIGTERM: %v", filepath.Base(binary), err)
		}
	})
	reader := bufio.NewReader(stderr)
	line, err := reader.ReadString('\n')
	copied.Go(func() { _, _ = io.Copy(t.Output(), reader) })
	_, address, found := strings.Cut(strings.TrimSpace(line), "[INFO] listens on ")
	if !found {
		t.Fatalf("it says %q (%v), not where it listens", line, err)
	}
	return address
}

func dial(t *testing.T, address string, security credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(security))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func configure(t *testing.T, conn *grpc.ClientConn, config string) {
	t.Helper()
	if err := tryConfigure(t, conn, config); err != nil {
		t.Fatal(err)
	}
}

func tryConfigure(t *testing.T, conn *grpc.ClientConn, config string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := pluginv1.NewPluginClient(conn).Configure(ctx, &pluginv1.ConfigureRequest{Name: "test", Config: []byte(config)})
	return err
}

func notify(t *testing.T, conn *grpc.ClientConn, group string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := pluginv1.NewNotificationClient(conn).Notify(ctx, &pluginv1.NotifyRequest{Group: []byte(group)})
	return err
}

// stub is a channel that answers with code. requests gives what has come since it was called last, a string a request.
func stub(t *testing.T, code int) (url string, requests func() []string) {
	var mu sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, strings.Join([]string{r.Method, r.Header.Get("Authorization"), string(body)}, " "))
		if err != nil {
			got = append(got, err.Error())
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		defer func() { got = nil }()
		return got
	}
}

// python is a Python that has what python/requirements.txt says.
func python(t *testing.T) string {
	t.Helper()
	python, err := filepath.Abs("../../.cache/venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(python, "-c", "import grpc, google.protobuf, cryptography").CombinedOutput(); err != nil {
		skip(t, "python", fmt.Sprintf("a Python with examples/plugins/python/requirements.txt is missing: make python (%v %s)", err, out))
	}
	return python
}

// skip skips the test, unless LOCKKEEPER_REQUIRE names what it needs.
func skip(t *testing.T, name, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("LOCKKEEPER_REQUIRE"), ","), name) {
		t.Fatal(why)
	}
	t.Skip(why)
}
