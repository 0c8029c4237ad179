package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// boardSources are the URLs of the data sources that are provisioned, by their UIDs.
func boardSources(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		Datasources []struct{ UID, Type, URL string }
	}
	text := readFile(t, filepath.Join(boardsDirectory, "provisioning/datasources/lockkeeper.yaml"))
	require.NoError(t, yaml.Unmarshal([]byte(text), &file))
	urls := map[string]string{}
	for _, source := range file.Datasources {
		urls[source.UID] = source.URL
	}
	return urls
}

// The boards are where their provider looks for them, and ask the data source that is provisioned.
func TestBoardsAreProvisioned(t *testing.T) {
	var file struct {
		Providers []struct {
			Type    string
			Options struct{ Path string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(readFile(t, filepath.Join(boardsDirectory, "provisioning/dashboards/lockkeeper.yaml"))), &file))
	require.Len(t, file.Providers, 1)
	path := file.Providers[0].Options.Path
	readme := readFile(t, filepath.Join(boardsDirectory, "README.md"))
	require.Contains(t, readme, "cp deploy/grafana/*.json "+path+"/\n")
	require.Contains(t, readme, `-v "$PWD/deploy/grafana:`+path+`:ro"`)
	sources := boardSources(t)
	require.Len(t, sources, 2)
	for _, b := range readBoards(t) {
		require.Equal(t, "datasource", b.Templating.List[0].Name)
		require.Contains(t, sources, b.Templating.List[0].Current.Value, b.file)
	}
}

// askSources asks a gateway what Grafana asks when a data source is saved, and when somebody writes a query.
func askSources(t *testing.T) {
	t.Helper()
	sources := boardSources(t)
	for _, url := range []string{
		sources["lockkeeper"] + "/api/v1/query?query=1%2B1",
		sources["lockkeeper"] + "/api/v1/status/buildinfo",
		sources["lockkeeper"] + "/api/v1/labels",
		sources["lockkeeper"] + "/api/v1/metadata?limit=1",
		sources["lockkeeper"] + "/api/v1/series?match[]=up",
		sources["lockkeeper-alerts"] + "/api/v2/status",
		sources["lockkeeper-alerts"] + "/api/v2/alerts",
		sources["lockkeeper-alerts"] + "/api/v2/silences",
	} {
		response, err := http.Get(url)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", url, text)
		require.True(t, strings.HasPrefix(response.Header.Get("Content-Type"), "application/json"), url)
	}
}
