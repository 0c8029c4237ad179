package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPluginVerify(t *testing.T) {
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc", in FIPS 180-2
	directory := t.TempDir()
	config := writeFile(t, fmt.Sprintf(`extensions: {plugins: {directory: %q}}`, directory))
	args := []string{"plugin", "verify", "--config", config}
	expectCall(t, 1, args, "BAD   victoriametrics: no plugin binary at ", "BAD   victorialogs: no plugin binary at ", "error: not all plugins would be started\n")
	other := filepath.Join(directory, "storage-victorialogs")
	if err := os.WriteFile(other, []byte("abc"), 0o700); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(directory, "storage-victoriametrics")
	if err := os.WriteFile(file, []byte("abc"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, out, _ := call(t, args...)
	first := "ok    victorialogs: " + other + ", not pinned; this line below extensions: plugins: processes: victorialogs: pins it:\n      sha256: \"" + sum + "\"\n"
	want := first + "ok    victoriametrics: " + file + ", not pinned; this line below extensions: plugins: processes: victoriametrics: pins it:\n      sha256: \"" + sum + "\"\n"
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	// The line, where it belongs.
	pin := func(sum string) []string {
		return append(args, "--config", writeFile(t, "extensions:\n  plugins:\n    processes:\n      victoriametrics:\n        sha256: \""+sum+"\""))
	}
	expectCall(t, 0, pin(sum), "ok    victoriametrics: "+file+", pinned\n")
	expectCall(t, 1, pin(strings.Repeat("0", 64)), "BAD   victoriametrics: sha256 of ", "is "+sum+", expected 000")

	var answer struct {
		Plugins []struct {
			Name, Kind, Binary, SHA256, Pinned, Error string
			OK                                        bool
		}
	}
	_, out, _ = call(t, append(pin(sum), "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Plugins) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	if p := answer.Plugins[1]; p.Name != "victoriametrics" || p.Kind != "storage" || p.Binary != file || p.SHA256 != sum || p.Pinned != sum || !p.OK || p.Error != "" {
		t.Errorf("%+v", p)
	}
	// One that is a server.
	server := writeFile(t, "extensions: {plugins: {processes: {acme: {kind: notification, address: \"acme.test:7443\"}}}}")
	expectCall(t, 0, append(pin(sum), "--config", server), "ok    acme: a server at acme.test:7443, which has no binary here\n")
	// No plugins at all, and what is wrong before.
	expectCall(t, 0, []string{"plugin", "verify", "--no-default", "--config", writeFile(t, small("127.0.0.1:0")), "-o", "json"}, `{"plugins":[]}`)
	expectCall(t, 1, []string{"plugin", "verify", "--config", "testdata/none.yaml"}, "none.yaml")
	expectCall(t, 2, []string{"plugin", "verify", "-o", "xml"}, "must be text or json")
}
