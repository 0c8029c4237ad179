package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// envoyBinary skips the test, or fails it where Envoy is required.
func envoyBinary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.cache/venv/bin/envoy")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		if strings.Contains(","+os.Getenv("LOCKKEEPER_REQUIRE")+",", ",envoy,") {
			t.Fatal(err)
		}
		t.Skip("no Envoy: `make demo` fetches it")
	}
	return path
}

func TestEnvoyAcceptsEveryConfig(t *testing.T) {
	envoy := envoyBinary(t)
	for _, id := range []identity{tagged, istio} {
		for _, dc := range twoIDCs() {
			for _, p := range dc.proxies() {
				t.Run(string(id)+"/"+p.name(), func(t *testing.T) {
					t.Parallel()
					config, err := envoyConfig(p, dc, id)
					if err != nil {
						t.Fatal(err)
					}
					file := filepath.Join(t.TempDir(), "envoy.json")
					if err := os.WriteFile(file, config, 0o600); err != nil {
						t.Fatal(err)
					}
					out, err := exec.CommandContext(t.Context(), envoy, "-c", file, "--mode", "validate", "--disable-hot-restart", "-l", "error").CombinedOutput()
					if err != nil {
						t.Fatalf("%v\n%s", err, out)
					}
				})
			}
		}
	}
}

// A proxy that shared an address with another would hide behind it.
func TestAddressesAreDistinct(t *testing.T) {
	seen := map[string]string{}
	for _, dc := range twoIDCs() {
		for _, p := range dc.proxies() {
			if other, ok := seen[p.ip]; ok {
				t.Errorf("%s and %s are both at %s", p.name(), other, p.ip)
			}
			seen[p.ip] = p.name()
		}
	}
}

// What makes the two identities differ: Istio's defaults carry no tag and no endpoint metadata.
func TestIstioSendsNoTags(t *testing.T) {
	for _, dc := range twoIDCs() {
		for _, p := range dc.proxies() {
			config, err := envoyConfig(p, dc, istio)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{`"reporter"`, `"tag"`, `"filter_metadata"`, "set_filter_state"} {
				if strings.Contains(string(config), word) {
					t.Errorf("%s has %s", p.name(), word)
				}
			}
			if !json.Valid(config) {
				t.Errorf("%s is not JSON", p.name())
			}
		}
	}
}
