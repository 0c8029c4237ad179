package channeltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// update is what go test -update sets, as in all tests with golden files.
var update = flag.Bool("update", false, "write the golden files anew")

// Golden compares got with testdata/NAME.golden.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "make it with -update")
	require.Equal(t, string(want), got)
}

// stub stands for a channel's API: it keeps the requests, and refuses those that the API would refuse.
type stub struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
	bad  []error
}

func newStub(t *testing.T, c Channel) *stub {
	s := new(stub)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = c.Accept(r, body)
		}
		s.keep(told(r, body), err)
		switch {
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
		case c.Answer != nil:
			c.Answer(w, body)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stub) keep(request string, wrong error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, request)
	if wrong != nil {
		s.bad = append(s.bad, fmt.Errorf("%w: %s", wrong, request))
	}
}

// take is what has come since the last call.
func (s *stub) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := strings.Join(s.seen, "\n")
	s.seen = nil
	return seen
}

func (s *stub) wrong() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		return errors.New("no request has come")
	}
	return errors.Join(s.bad...)
}

// told is a request as a golden file has it.
func told(r *http.Request, body []byte) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s\n", r.Method, r.URL)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if name != "Accept-Encoding" && name != "Content-Length" {
			fmt.Fprintf(&text, "%s: %s\n", name, strings.Join(r.Header[name], ", "))
		}
	}
	text.WriteString("\n")
	var indented bytes.Buffer
	if json.Indent(&indented, body, "", "  ") == nil {
		text.Write(indented.Bytes())
		text.WriteString("\n")
		return text.String()
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return text.String() + string(body)
	}
	for _, key := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[key] {
			fmt.Fprintf(&text, "%s=%s\n", key, value)
		}
	}
	return text.String()
}
