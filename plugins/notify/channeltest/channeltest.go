// Package channeltest is what is asked of every notification plugin that speaks HTTP: the conformance suite, that its requests are
// those of the golden files and right by the API's documents, what it tries again, and that it never tells a secret.
package channeltest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

// Channel is one that Check checks.
type Channel struct {
	Open    sdk.OpenNotification
	Config  func(url string) map[string]any          // has it send to this URL, which stands for the API's
	Accept  func(r *http.Request, body []byte) error // says what is wrong with a request, as the API's documents have it
	Answer  func(w http.ResponseWriter, body []byte) // to a good request
	Secrets []string                                 // of Config
	Wrong   map[string]func(config map[string]any)   // mistakes in Config, by what the error must say
}

// Check runs all checks.
func Check(t *testing.T, c Channel) {
	stub := newStub(t, c)
	t.Run("in process", func(t *testing.T) { sdktest.Notification(t, c.Open, c.config(stub.URL)) })
	t.Run("process", func(t *testing.T) {
		sdktest.Process(t, Build(t), c.config(stub.URL))
		require.NoError(t, stub.wrong())
	})
	t.Run("golden", func(t *testing.T) { c.golden(t) })
	t.Run("answers", func(t *testing.T) { c.answers(t) })
	t.Run("secrets", func(t *testing.T) { c.secrets(t) })
	t.Run("addresses", func(t *testing.T) { c.addresses(t) })
	t.Run("configuration", func(t *testing.T) { c.mistakes(t) })
	t.Run("readme", func(t *testing.T) { Example(t, "README.md", c.Open) })
}

// Example opens the plugin with each example of a README.
func Example(t *testing.T, file string, open sdk.OpenNotification) {
	t.Helper()
	readme, err := os.ReadFile(file)
	require.NoError(t, err)
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, examples)
	for _, example := range examples {
		var config struct {
			Extensions struct {
				Plugins struct {
					Processes map[string]struct {
						Kind, Use string
						Config    map[string]any
					}
				}
			}
		}
		filled := regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllString(example[1], "https://example.com/from-outside")
		require.NoError(t, yaml.Unmarshal([]byte(filled), &config))
		require.NotEmpty(t, config.Extensions.Plugins.Processes)
		for name, process := range config.Extensions.Plugins.Processes {
			require.Equal(t, "notification", process.Kind, name)
			Opened(t, open, process.Config)
		}
	}
}

// Build builds the plugin in the test's own folder.
func Build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "plugin")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

// Opened is the plugin with this configuration, closed at the end of the test.
func Opened(t *testing.T, open sdk.OpenNotification, config map[string]any) *sdk.Notification {
	t.Helper()
	n, err := try(open, config)
	require.NoError(t, err)
	t.Cleanup(func() {
		if n.Stop != nil {
			require.NoError(t, n.Stop(context.Background()))
		}
	})
	return n
}

func try(open sdk.OpenNotification, config map[string]any) (*sdk.Notification, error) {
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	return open(context.Background(), sdk.NewConfig("test", "", raw))
}

// config is the channel's, with loopback allowed.
func (c Channel) config(url string) map[string]any {
	config := c.Config(url)
	config["allow"] = []string{"127.0.0.0/8"}
	return config
}

// golden compares the requests of all groups, each sent twice.
func (c Channel) golden(t *testing.T) {
	for name, group := range map[string]*sdk.Group{"firing": Firing(), "resolved": Resolved(), "hostile": Hostile()} {
		t.Run(name, func(t *testing.T) {
			stub := newStub(t, c)
			n := Opened(t, c.Open, c.config(stub.URL))
			require.NoError(t, n.Notify(t.Context(), group))
			require.NoError(t, stub.wrong())
			first := stub.take()
			require.NoError(t, n.Notify(t.Context(), group))
			require.Equal(t, first, stub.take(), "the second time: the other side must be able to know a repeat")
			Golden(t, name, strings.ReplaceAll(first, stub.URL, "http://stub"))
		})
	}
}

// answers holds what is tried again.
func (c Channel) answers(t *testing.T) {
	f := func(answer int, header string, want codes.Code, after time.Duration) {
		t.Helper()
		stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(answer)
		}))
		defer stub.Close()
		err := Opened(t, c.Open, c.config(stub.URL)).Notify(t.Context(), Firing())
		require.Equal(t, want, status.Code(err), "%d: %v", answer, err)
		require.Equal(t, after, retryAfter(err), "%d", answer)
	}
	f(http.StatusTooManyRequests, "7", codes.Unavailable, 7*time.Second)
	f(http.StatusTooManyRequests, "", codes.Unavailable, 0)
	f(http.StatusTooManyRequests, "nonsense", codes.Unavailable, 0)
	f(http.StatusServiceUnavailable, "90", codes.Unavailable, 90*time.Second)
	f(http.StatusInternalServerError, "", codes.Unavailable, 0)
	f(http.StatusBadRequest, "", codes.InvalidArgument, 0)
	f(http.StatusUnauthorized, "7", codes.InvalidArgument, 0)
	f(http.StatusNotFound, "", codes.InvalidArgument, 0)
	f(http.StatusFound, "", codes.InvalidArgument, 0)
}

func retryAfter(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.RetryDelay.AsDuration()
		}
	}
	return 0
}

// secrets has the other side say all that it was sent, and go away.
func (c Channel) secrets(t *testing.T) {
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, r.Header.Get("Authorization")+" "+r.URL.String()+" ")
		_, _ = io.Copy(w, r.Body)
	}))
	n := Opened(t, c.Open, c.config(stub.URL))
	check := func(err error, permanent bool) {
		t.Helper()
		require.Error(t, err)
		require.Equal(t, permanent, sdk.IsPermanent(err), "%v", err)
		for _, secret := range c.Secrets {
			require.NotContains(t, err.Error(), secret)
		}
	}
	check(n.Notify(t.Context(), Firing()), true)
	stub.Close()
	check(n.Notify(t.Context(), Firing()), false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(n.Notify(ctx, Firing()), false)
}

// addresses holds that a name or an address that leads inside is refused when it is connected to.
func (c Channel) addresses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	f := func(host string, allow []string, says string) {
		t.Helper()
		config := c.Config("http://" + net.JoinHostPort(host, port))
		config["allow"] = allow
		err := Opened(t, c.Open, config).Notify(t.Context(), Firing())
		require.ErrorContains(t, err, says)
		require.True(t, sdk.IsPermanent(err), "%v", err)
	}
	f("127.0.0.1", nil, "127.0.0.1 is not a public address: if it is meant, put it into allow: [127.0.0.1/32]")
	f("localhost", nil, "is not a public address")
	f("10.1.2.3", []string{"127.0.0.0/8"}, "10.1.2.3 is not a public address")
	f("169.254.169.254", []string{"127.0.0.0/8"}, "169.254.169.254 is an address that is never connected to")
}

// mistakes holds that a wrong configuration is refused with the name of the key, and without secrets.
func (c Channel) mistakes(t *testing.T) {
	wrong := map[string]func(map[string]any){
		`unknown key "nonsense"`:  func(config map[string]any) { config["nonsense"] = 1 },
		"allow[0]: want a prefix": func(config map[string]any) { config["allow"] = []string{"169.254.169.254/32"} },
		"http_config: ": func(config map[string]any) {
			config["http_config"] = map[string]any{"tls_config": map[string]any{"ca_file": "/nowhere/ca.pem"}}
		},
	}
	for says, change := range c.Wrong {
		wrong[says] = change
	}
	for says, change := range wrong {
		config := c.config("http://127.0.0.1:1")
		change(config)
		_, err := try(c.Open, config)
		require.ErrorContains(t, err, says)
		require.True(t, sdk.IsPermanent(err), "%v", err)
		for _, secret := range c.Secrets {
			require.NotContains(t, err.Error(), secret)
		}
	}
}
