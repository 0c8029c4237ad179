package plugins

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
	"go.yaml.in/yaml/v3"
)

// What the README of the plugin in Python shows is right: its configuration, the script that the gateway runs, and the command of a server, each as it
// stands there but for where things are.
func TestPythonREADME(t *testing.T) {
	blocks := fenced(t, "python/README.md")
	if len(blocks) != 3 {
		t.Fatalf("the README has %d blocks: which test runs them?", len(blocks))
	}
	script, err := filepath.Abs("python/notification.py")
	if err != nil {
		t.Fatal(err)
	}
	url, _ := stub(t, http.StatusOK)
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(strings.Replace(blocks[0], "https://ntfy.sh/our-topic", url, 1)), &config); err != nil {
		t.Fatal(err)
	}
	if config["url"] != url {
		t.Fatalf("the README's configuration is %v", config)
	}
	program := func(text string, instead ...string) string {
		file := filepath.Join(t.TempDir(), "notification-python")
		if err := os.WriteFile(file, []byte(strings.NewReplacer(instead...).Replace(text)), 0o755); err != nil {
			t.Fatal(err)
		}
		return file
	}
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1") // no __pycache__ in the source tree
	t.Run("process", func(t *testing.T) {
		sdktest.Process(t, program(blocks[1], "/opt/acme/venv/bin/python", python(t)+" -B", "/opt/acme/notification.py", script), config)
	})
	t.Run("address", func(t *testing.T) {
		keys := newAuthority(t)
		server := program("#!/bin/sh\nexec "+strings.TrimSpace(blocks[2])+` "$@"`+"\n", "venv/bin/python", python(t)+" -B", "notification.py", script,
			"server.pem", keys.serverCert, "server.key", keys.serverKey, "gateway-ca.pem", keys.ca)
		sdktest.Address(t, listen(t, server), keys.client, config) // at a free port
	})
}

// fenced are the blocks of code of a page.
func fenced(t *testing.T, file string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split("\n"+string(text), "\n```") {
		if i%2 == 1 { // outside, inside, outside …
			_, block, _ := strings.Cut(part, "\n")
			blocks = append(blocks, block+"\n")
		}
	}
	return blocks
}
