package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startDefault runs a gateway at the ports of the defaults, with everything in it. The test has a network of its own.
func startDefault(t *testing.T) {
	t.Helper()
	startRun(t, "--config", fmt.Sprintf("yaml:extensions::plugins::directory: %q", needsPlugins(t)), "--config", writeFile(t, fmt.Sprintf(`
receivers:
  probes: {targets: [{module: tcp, target: "127.0.0.1:7070", subject: idc/idc1/entry}]}
  probes/fast: {targets: [{module: tcp, target: "127.0.0.1:7070", subject: idc/idc2/entry}]}
extensions:
  failover: {idcs: {idc1: {weight: 50}, idc2: {weight: 50}}, sites: {berlin: idc1}}
  dns: {endpoint: "localhost:8053", zones: {gslb.example.com: {ns: {ns1.gslb.example.com: 192.0.2.53}, names: {api: {idcs: {idc1: [192.0.2.1], idc2: [198.51.100.1]}}}}}}
  xds: {sources: [{file: testdata/endpoints.yaml}, {file: testdata/machines.yaml}]}
  cluster: {name: one, site: berlin, endpoint: %q, keys: ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]}
service: {extensions: [file_storage, plugins, alerting, failover, cluster, xds, dns, console], pipelines: {metrics: {receivers: [envoy, probes, probes/fast]}}}
`, freeAddress(t)))).expect(t, "Lockkeeper is ready")
	require.Eventually(t, func() bool {
		plugins, _, _ := call(t, "plugin", "list")
		return plugins == 0
	}, patience, 200*time.Millisecond)
}

// Each curl in the Markdown that asks a gateway gets its answer, run as it stands there. So does each link to one, and each path in text and in tables is one.
func TestMarkdownCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		lacks(t, "network", "needs curl: apt-get install curl")
	}
	if !inOwnNetwork(t) {
		return
	}
	startDefault(t)
	home := t.TempDir()
	rewrite(t, filepath.Join(home, ".curlrc"), "fail-with-body\n")
	n := 0
	for _, c := range markdownCommands(t) {
		if c.words[0] != "curl" || !slices.ContainsFunc(c.words, func(word string) bool { return strings.Contains(word, "localhost:") }) {
			continue
		}
		n++
		cmd := exec.CommandContext(t.Context(), "curl", c.words[1:]...)
		cmd.Env = append(os.Environ(), "CURL_HOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s:%d: %q: %v: %s", c.file, c.line, c.words, err, out)
		}
	}
	require.Greater(t, n, 3)
	require.ErrorContains(t, askPath(t, "GET /api/v1/bogus"), "404")
	require.ErrorContains(t, askPath(t, "GET /alertmanager/api/v2/bogus"), "404")
	require.ErrorContains(t, askPath(t, "GET /prometheus/api/v1/bogus"), "404")
	paths := markdownPaths(t)
	require.Contains(t, paths, "DELETE /api/v1/failover/shift")
	for path, place := range paths {
		if err := askPath(t, path); err != nil {
			t.Errorf("%s: %s: %v", place, path, err)
		}
	}
	queries := logQueries(t)
	for _, q := range queries {
		response, err := http.Get("http://localhost:7070/logs/select/logsql/query?query=" + url.QueryEscape(q.text))
		require.NoError(t, err)
		said, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode, "%s:%d: %s: %s", q.file, q.line, q.text, said)
	}
	t.Logf("%d commands, %d paths, %d queries for logs", n, len(paths), len(queries))
}

// logQueries are the LogsQL within lines that counts something: shorter texts are parts of queries, or other things.
func logQueries(t *testing.T) (all []block) {
	t.Helper()
	_, spans := blocks(t)
	for _, span := range spans {
		span.text = strings.ReplaceAll(span.text, `\|`, "|") // in a table
		if strings.Contains(span.text, "| stats ") && !strings.HasPrefix(span.text, "curl ") {
			all = append(all, span)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// shownPath is a path of the console's, perhaps with a method before it, or a link to the console at the port of the defaults.
var shownPath = regexp.MustCompile(`(?:^|[^\w/])(?:(GET|POST|DELETE) )?(?:(http://localhost:7070)(/[\w/.-]*)|(/(?:api/v1|prometheus|alertmanager|logs|vmui|-)/[\w/.{},-]*))`)

// markdownPaths are all paths that pages tell of, each with its method, and where it is told of.
func markdownPaths(t *testing.T) map[string]string {
	t.Helper()
	paths := map[string]string{}
	for file, text := range markdown(t) {
		if strings.HasPrefix(file, "plugins/") || strings.HasPrefix(file, "sdk/") { // these tell of their own
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			for _, match := range shownPath.FindAllStringSubmatch(line, -1) {
				method, link, path := match[1], match[3], strings.TrimRight(match[4], ".,")
				if strings.HasSuffix(path, "/") { // others begin with it
					continue
				}
				for _, one := range alternatives(link + path) {
					paths[method+" "+strings.ReplaceAll(one, "NAME", "victoriametrics")] = fmt.Sprintf("%s:%d", file, i+1)
				}
			}
		}
	}
	return paths
}

// alternatives are what braces stand for, as in a shell.
func alternatives(path string) (all []string) {
	before, rest, found := strings.Cut(path, "{")
	if !found {
		return []string{path}
	}
	inside, after, _ := strings.Cut(rest, "}")
	for one := range strings.SplitSeq(inside, ",") {
		all = append(all, before+one+after)
	}
	return all
}

// askPath asks for a path by a method, or, if the page says none, by any. Without what it needs beside it, or without a token, it is refused: it is there
// nevertheless.
func askPath(t *testing.T, path string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	method, path, _ := strings.Cut(path, " ")
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost:7070"+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNotFound && response.StatusCode < http.StatusInternalServerError {
		return nil
	}
	said, _ := io.ReadAll(response.Body)
	switch {
	case strings.Contains(string(said), `"bad_data"`): // what it is asked about is not there
		return nil
	case method == "":
		return askPath(t, "POST "+path)
	}
	return fmt.Errorf("%s: %s", response.Status, said)
}
