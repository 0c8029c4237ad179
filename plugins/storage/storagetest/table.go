package storagetest

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
	"github.com/lockkeeper/lockkeeper/sdk"
)

// Readme holds that the README's example is valid and shows the defaults.
func Readme(t *testing.T, plugin string, defaults victoria.Settings) {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	var example struct {
		Extensions struct {
			Plugins struct {
				Processes map[string]struct{ Config map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &example); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(example.Extensions.Plugins.Processes[plugin].Config)
	if err != nil {
		t.Fatal(err)
	}
	got, err := victoria.Decode(sdk.NewConfig(plugin, "", raw), victoria.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if defaults.DataDirectory, err = filepath.Abs("lockkeeper-data/" + plugin); err != nil {
		t.Fatal(err)
	}
	if got != defaults {
		t.Errorf("got %+v, want %+v", got, defaults)
	}
}

// refused starts the plugin, which must refuse with the code and with one line that has each of want.
func refused(t *testing.T, config map[string]any, listen string, code codes.Code, want ...string) {
	t.Helper()
	p, err := Launch(t, config, listen)
	if status.Code(err) != code {
		t.Fatalf("%v: %v, want %v\n%s", config, err, code, p.Log)
	}
	message := status.Convert(err).Message()
	for _, text := range want {
		if !strings.Contains(message, text) {
			t.Errorf("%v: %q wants %q", config, message, text)
		}
	}
	if strings.Contains(message, "\n") {
		t.Errorf("%v: %q is not one line", config, message)
	}
}

// RefusesMistakes holds that each mistake in the configuration is refused for good, by key and with the cure.
func RefusesMistakes(t *testing.T) {
	directory := t.TempDir()
	f := func(config map[string]any, want ...string) {
		t.Helper()
		refused(t, config, "", codes.InvalidArgument, want...)
	}
	// no data directory
	f(map[string]any{}, "data_directory: missing; set it")
	// all mistakes at once
	f(map[string]any{"retention": "5", "memory_percent": 200}, "data_directory: missing", `retention "5": has no unit`, "memory_percent 200: must be between")
	// too short
	f(map[string]any{"data_directory": directory, "retention": "2h"}, `retention "2h": must be at least 1d`)
	// not a duration
	f(map[string]any{"data_directory": directory, "retention": "soon"}, `retention "soon": `, "write for example 30d, 12w or 1y")
	// of the wrong type
	f(map[string]any{"data_directory": directory, "memory_percent": "half"}, "memory_percent: want a number such as 0.5, got a text")
	// an unknown key
	f(map[string]any{"data_directory": directory, "retenton": "30d"}, `unknown key "retenton"`)
}

// RefusesWhatItCannotHave holds that a directory and an address that are another's, or nobody's, are refused, and disturb nobody.
func RefusesWhatItCannotHave(t *testing.T, database string) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	busy := t.TempDir()
	running := Start(t, busy)
	locked := t.TempDir()
	lock, err := os.Create(filepath.Join(locked, "flock.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := func(directory, listen string, code codes.Code, want ...string) {
		t.Helper()
		refused(t, map[string]any{"data_directory": directory}, listen, code, want...)
	}
	// a second process on the same data
	f(busy, "", codes.Unavailable, busy, "in use by another process; stop that one")
	// a database of its own on the same data
	f(locked, "", codes.Unavailable, locked, "in use by a running "+database+"; stop it")
	// no right to write: below a file nobody has it, not even root
	f(filepath.Join(file, "data"), "", codes.InvalidArgument, filepath.Join(file, "data"), "cannot be created", "give the gateway's user the right")
	// a file system that takes no files
	f("/proc", "", codes.InvalidArgument, `"/proc"`, "cannot be written", "give the gateway's user the right")
	// the port of the query API is in use
	f(t.TempDir(), taken.Addr().String(), codes.Unavailable, taken.Addr().String(), "address already in use")
	// the one that runs is not disturbed
	running.Answers("GET", "/health", http.StatusOK, "OK")
}

// Answers asks the query API as a web page from elsewhere does, which it must not let read: for an answer with the code that contains want.
func (p *Process) Answers(method, path string, code int, want string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.Info.GetQueryUrl()+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Origin", "http://elsewhere.example")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != code || !bytes.Contains(body, []byte(want)) {
		p.t.Errorf("%s %s: %s %.200q %v, want %d and %q", method, path, response.Status, body, err, code, want)
	}
	if origin := response.Header.Get("Access-Control-Allow-Origin"); origin != "" {
		p.t.Errorf("%s %s: lets pages of %s read", method, path, origin)
	}
}

// Lacks holds that none of the paths is served below any of the prefixes, each sent as it is; a redirect is none.
func (p *Process) Lacks(prefixes, paths []string) {
	p.t.Helper()
	for _, prefix := range prefixes {
		for _, path := range paths {
			for _, method := range []string{"GET", "POST"} {
				u, err := url.Parse(p.Info.GetQueryUrl() + prefix + path)
				if err != nil {
					p.t.Fatal(err)
				}
				request := &http.Request{Method: method, URL: u, Header: http.Header{}, Host: u.Host}
				response, err := http.DefaultTransport.RoundTrip(request.WithContext(p.t.Context()))
				if err != nil {
					p.t.Fatal(err)
				}
				if _ = response.Body.Close(); response.StatusCode/100 == 2 {
					p.t.Errorf("%s %s: %s", method, u, response.Status)
				}
			}
		}
	}
}

// Segments are the files of the write-ahead log.
func Segments(t testing.TB, directory string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(directory, "wal", "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// AwaitCheckpoint waits until there is nothing in the log any more.
func (p *Process) AwaitCheckpoint(directory string) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); len(Segments(p.t, directory)) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("still there: %v\n%s", Segments(p.t, directory), p.Log)
		}
	}
}
