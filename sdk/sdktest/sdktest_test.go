package sdktest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/sdk"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func TestMain(m *testing.M) {
	// go-plugin's client keeps these two until its process ends.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/hashicorp/go-plugin.(*GRPCBroker).Run"))
}

// none is a configuration without keys.
func none(c sdk.Config) error { return c.Decode(new(struct{})) }

// A storage plugin may refuse for a while, and need not store both signals.
func TestStorage(t *testing.T) {
	t.Parallel()
	for what, open := range map[string]func(write func([]byte) error) *sdk.Storage{
		"metrics": func(write func([]byte) error) *sdk.Storage {
			return &sdk.Storage{WriteMetrics: func(_ context.Context, m sdk.Metrics) error {
				if _, err := m.Decode(); err != nil {
					return err
				}
				return write(m.Bytes())
			}}
		},
		"logs": func(write func([]byte) error) *sdk.Storage {
			return &sdk.Storage{WriteLogs: func(_ context.Context, l sdk.Logs) error {
				if _, err := l.Decode(); err != nil {
					return err
				}
				return write(l.Bytes())
			}}
		},
	} {
		t.Run(what, func(t *testing.T) {
			limit := make(chan struct{}, 4) // some of the suite's callers are always too many
			sdktest.Storage(t, func(_ context.Context, c sdk.Config) (*sdk.Storage, error) {
				return open(func([]byte) error {
					select {
					case limit <- struct{}{}:
						defer func() { <-limit }()
						return nil
					default:
						return sdk.Retryable(os.ErrDeadlineExceeded, time.Millisecond)
					}
				}), none(c)
			}, nil)
		})
	}
}

func TestNotification(t *testing.T) {
	t.Parallel()
	sdktest.Notification(t, func(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
		return &sdk.Notification{Notify: func(context.Context, *sdk.Group) error { return nil }}, none(c)
	}, nil)
}

func TestAlerting(t *testing.T) {
	t.Parallel()
	// rules that never fire
	sdktest.Alerting(t, func(_ context.Context, c sdk.Config) (*sdk.Alerting, error) {
		return &sdk.Alerting{Evaluate: func(ctx context.Context, _ sdk.Source, _ func([]sdk.Alert) error) error {
			<-ctx.Done()
			return ctx.Err()
		}}, none(c)
	}, nil)
}

// The README shows the programs that are checked here.
func TestPrograms(t *testing.T) {
	t.Parallel()
	channel := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer channel.Close()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]map[string]any{
		"memory":    {"limit": 5},
		"post":      {"url": channel.URL},
		"threshold": {"query": "up == 0", "every": "20ms"},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join("testdata", name, "main.go"))
			if err != nil {
				t.Fatal(err)
			}
			_, program, _ := strings.Cut(string(source), "package main")
			if !strings.Contains(string(readme), "```go\npackage main"+program+"```") {
				t.Errorf("the program in README.md differs from testdata/%s/main.go", name)
			}
			sdktest.Process(t, build(t, name), config)
		})
	}
}

func build(t *testing.T, program string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), program)
	if out, err := exec.Command("go", "build", "-o", binary, "./testdata/"+program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}
