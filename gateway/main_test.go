package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// mainEnv makes the test binary the gateway itself.
const mainEnv = "LOCKKEEPER_TEST_MAIN"

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case fixture:
		sdk.ServeNotification(openFixture)
		return
	case chatPlugin:
		sdk.ServeNotification(openChat)
		return
	case rulesPlugin:
		sdk.ServeAlerting(openRules)
		return
	}
	if os.Getenv(mainEnv) != "" {
		main()
	}
	if spec := os.Getenv(loadEnv); spec != "" {
		if err := generateLoad(spec); err != nil {
			fmt.Fprintln(os.Stderr, "load generator:", err)
			os.Exit(1)
		}
		return
	}
	// memberlist ends a question that is under way only when its time is over: within some seconds.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// call runs a command in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = execute(context.Background(), args, &out, &err)
	return code, out.String(), err.String()
}

func TestExitCodes(t *testing.T) {
	f := func(want int, args ...string) {
		t.Helper()
		if code, _, stderr := call(t, args...); code != want {
			t.Errorf("%q ends with %d, want %d: %s", args, code, want, stderr)
		}
	}
	f(0)
	f(0, "--help")
	f(0, "validate")
	f(0, "version")
	f(1, "validate", "--config", "testdata/none.yaml")
	f(1, "config", "--config", "testdata/mistakes.yaml")
	f(2, "bogus")
	f(2, "run", "bogus")
	f(2, "run", "--bogus")
	f(2, "validate", "--no-default")
	f(2, "snippet")
	f(2, "snippet", "bogus")
	f(2, "snippet", "envoy", "--address", "nowhere")
	f(2, "snippet", "envoy", "--address", "host:99999")
	f(2, "snippet", "envoy", "--reporter", "both")
}

func TestEveryCommandShowsAnExample(t *testing.T) {
	var f func(cmd *cobra.Command)
	f = func(cmd *cobra.Command) {
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: no example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			f(sub)
		}
	}
	f(newRootCommand())
}

func TestComponents(t *testing.T) {
	const want = `receivers: envoy, otlp, probes, prometheus
processors: batch, memory_limiter, resource
exporters: debug, otlp_grpc, otlp_http, plugin, prometheus_remote_write
extensions: alerting, bearertokenauth, cluster, console, dns, failover, file_storage, health_check, plugins, pprof, xds, zpages
`
	if _, stdout, _ := call(t, "components"); stdout != want {
		t.Errorf("got\n%swant\n%s", stdout, want)
	}
}
