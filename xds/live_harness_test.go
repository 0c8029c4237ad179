package xds

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aggregated is a ConfigSource as Envoy's files have it.
const aggregated = `{"resource_api_version": "V3", "ads": {}}`

// separate is one with a stream for each type.
func separate(apiType string) string {
	return fmt.Sprintf(`{"resource_api_version": "V3", "api_config_source": {"api_type": %q, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]}}`, apiType)
}

// startEnvoy starts one that takes everything from an xDS server, one of those at the addresses, and returns its admin page's URL.
func startEnvoy(t *testing.T, apiType, source string, addresses ...string) string {
	t.Helper()
	binary, err := filepath.Abs("../.cache/venv/bin/envoy")
	require.NoError(t, err)
	if _, err := os.Stat(binary); err != nil {
		if strings.Contains(","+os.Getenv("LOCKKEEPER_REQUIRE")+",", ",envoy,") {
			t.Fatal("needs a real Envoy: make envoy")
		}
		t.Skip("needs a real Envoy: make envoy")
	}
	text, err := os.ReadFile("testdata/live/bootstrap.yaml")
	require.NoError(t, err)
	var endpoints []string
	for _, address := range addresses {
		host, port, _ := strings.Cut(address, ":")
		endpoints = append(endpoints, fmt.Sprintf("{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}", host, port))
	}
	bootstrap := strings.NewReplacer("SOURCE", source, "API_TYPE", apiType, "ENDPOINTS", strings.Join(endpoints, ", ")).Replace(string(text))
	directory := t.TempDir()
	file, adminFile := filepath.Join(directory, "envoy.yaml"), filepath.Join(directory, "admin")
	require.NoError(t, os.WriteFile(file, []byte(bootstrap), 0o600))
	var output bytes.Buffer
	cmd := exec.Command(binary, "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "warn", "--admin-address-path", adminFile)
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	var admin string
	within(t, "Envoy's admin address", func() bool {
		text, err := os.ReadFile(adminFile)
		admin = "http://" + strings.TrimSpace(string(text))
		return err == nil && len(text) > 0
	})
	return admin
}

// within waits for a condition and tells how long it took.
func within(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > time.Minute {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Close = true
	r, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(body)
}
