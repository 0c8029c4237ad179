package pluginhost

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// misbehave is what a plugin does wrong while it is configured, and what it begins to do wrong then.
func (p *testPlugin) misbehave(ctx context.Context) error {
	if p.does.Slow != "" {
		wait, _ := time.ParseDuration(p.does.Slow)
		time.Sleep(wait)
	}
	if p.does.Leak {
		go leak()
	}
	if p.does.Flood {
		go flood(os.NewFile(1, "stdout"))
		go flood(os.NewFile(2, "stderr"))
		go flood(os.Stdout) // which is go-plugin's by now
	}
	fault, _ := os.ReadFile(p.does.Fault)
	switch string(fault) {
	case "exit":
		os.Exit(6)
	case "reject":
		return grpcstatus.Error(codes.InvalidArgument, `unknown key "retenion"`)
	}
	if p.does.Tell != "" {
		return p.tell()
	}
	return nil
}

func leak() {
	for held := [][]byte{}; ; {
		held = append(held, bytes.Repeat([]byte("x"), 4<<20))
		time.Sleep(5 * time.Millisecond)
	}
}

func flood(to *os.File) {
	_, _ = to.Write(bytes.Repeat([]byte("no newline "), 1<<17))
	_, _ = to.Write([]byte("\n\x00\xff\x1b[2J garbage\n"))
	for lines := bytes.Repeat([]byte("again and again\n"), 1<<10); ; {
		_, _ = to.Write(lines)
	}
}

// tell prints the configuration in all forms in which a plugin might.
func (p *testPlugin) tell() error {
	config := string(p.request.GetConfig())
	stderr := os.NewFile(2, "stderr")
	for _, text := range []string{p.does.Remember, p.does.Webhook, fmt.Sprint(p.does.Bearer...)} {
		fmt.Fprintln(stderr, text)
		fmt.Fprintf(stderr, "%q\n", text)
		fmt.Fprintln(stderr, url.QueryEscape(text), url.PathEscape(text))
		entry, _ := json.Marshal(map[string]any{"@level": "warn", "@message": text, text: text, "in": []any{map[string]string{"a": text}}})
		fmt.Fprintln(stderr, string(entry))
		fmt.Fprintln(stderr, strings.Repeat("-", maxLine-10)+text) // cut in the middle of it
	}
	fmt.Println(config)
	switch p.does.Tell {
	case "panic":
		panic(config)
	case "reject":
		return grpcstatus.Error(codes.InvalidArgument, "wrong: "+config)
	case "kind":
		p.does.Kind = config
	}
	return nil
}

// However long a fault lasts, the plugin is back soon after it ends.
func TestBackSoonAfterALongFault(t *testing.T) {
	f := func(fault, lastError string) {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "fault")
			fix := newFixture(t, `processes: {demo: {kind: storage, config: {fault: '`+file+`'}}}`, "storage-demo").start()
			require.NoError(t, os.WriteFile(file, []byte(fault), 0o600))
			require.NoError(t, syscall.Kill(fix.list()[0].PID, syscall.SIGKILL))
			fix.until(30*time.Second, "longest wait", func() bool { // at its beginning
				now := fix.list()[0]
				return now.Restarts >= 6 && now.State == "backoff"
			})
			require.Equal(t, lastError, fix.list()[0].LastError)
			require.Equal(t, codes.Unavailable, grpcstatus.Code(fix.call("demo")))

			require.NoError(t, os.Remove(file))
			ended := time.Now()
			fix.until(20*time.Second, "back", func() bool { return fix.call("demo") == nil })
			t.Logf("back %s after the fault ended", time.Since(ended))
			require.Less(t, time.Since(ended), 10*time.Second, "it is two on a machine that has nothing else to do")
			same := fix.logs.FilterMessage("plugin is down, restarting it").FilterField(zap.NamedError("error", fmt.Errorf("%s", lastError)))
			require.Equal(t, 1, same.FilterLevelExact(zap.ErrorLevel).Len(), "it says so once")
		})
	}
	f("exit", "exited: exit status 6")
	f("reject", `config: unknown key "retenion"`)
}

func TestGatewayDoesNotWaitForASlowPlugin(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `processes: {
		slow: {kind: storage, use: storage-demo, config: {slow: 8s}},
		wrong: {kind: storage, use: storage-demo, config: {slow: 6s, reject: true}},
		quick: {kind: storage, use: storage-demo, config: {noise: true}}}`, "storage-demo")
	started := make(chan error, 1)
	began := time.Now()
	go func() { started <- f.Start(context.Background(), f.console) }()
	f.until(30*time.Second, "the quick one is configured", func() bool { return f.logs.FilterMessage("hello from stderr").Len() == 1 })
	f.until(30*time.Second, "the quick one works", func() bool { return f.call("quick") == nil })
	t.Logf("the quick one ran after %s", time.Since(began))
	if time.Since(began) < patience-time.Second {
		require.Empty(t, started, "the gateway still waits for the others")
	}
	require.NoError(t, <-started)
	t.Logf("the gateway started after %s", time.Since(began))
	if time.Since(began) < patience+time.Second {
		require.Equal(t, "starting", f.list()[1].State)
		require.Equal(t, codes.Unavailable, grpcstatus.Code(f.call("slow")))
	}
	require.Equal(t, 2, f.logs.FilterMessage("still starting; the gateway goes on without it").FilterLevelExact(zap.WarnLevel).Len())
	require.NoError(t, f.call("quick"))

	f.until(20*time.Second, "the slow one is there", func() bool { return f.call("slow") == nil })
	require.Zero(t, f.list()[1].Restarts)
	// what a plugin finds wrong so late can't stop the gateway any more
	f.until(30*time.Second, "told", func() bool { return f.list()[2].LastError == `config: unknown key "retenion"` })
	f.until(30*time.Second, "tried again", func() bool { return f.list()[2].Restarts > 0 })
}

func TestLeakingPluginIsKilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `processes: {demo: {kind: storage, memory_limit: 256MiB, config: {leak: true}}, other: {kind: storage, use: storage-demo}}`, "storage-demo").start()
	require.Contains(t, f.list()[0].Version, " GOMEMLIMIT=241591905")
	f.until(10*time.Second, "seen", func() bool { return f.list()[0].MemoryBytes > 1<<20 })
	held, _ := f.metric("lockkeeper_plugin_memory_bytes", "plugin=demo")
	require.Greater(t, held, 1e6)
	if runtime.GOOS == "linux" {
		score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", f.list()[1].PID))
		require.NoError(t, err)
		require.Equal(t, "500\n", string(score), "the kernel ends it before the gateway")
	}
	other := f.list()[1]
	f.until(30*time.Second, "killed twice", func() bool { return f.list()[0].Restarts >= 2 })
	demo := f.list()[0]
	t.Log(demo.LastError)
	require.Regexp(t, regexp.MustCompile(`^memory \d+ MiB is over memory_limit \(256 MiB\): killed$`), demo.LastError)
	require.EqualValues(t, 256<<20, demo.MemoryLimitBytes)
	kills, _ := f.metric("lockkeeper_plugin_kills_total", "plugin=demo,reason=memory")
	require.GreaterOrEqual(t, kills, 2.0)
	require.Equal(t, other.PID, f.list()[1].PID, "nobody else is affected")
	require.Zero(t, f.list()[1].MemoryLimitBytes)

	// while it starts
	f = newFixture(t, `processes: {demo: {kind: storage, memory_limit: 128MiB, config: {leak: true, block: true}}}`, "storage-demo")
	require.ErrorContains(t, f.Start(t.Context(), f.console), " is over memory_limit (128 MiB): killed")
}

func TestPluginThatPrintsWithoutEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `processes: {demo: {kind: storage, config: {flood: true}}}`, "storage-demo").start()
	f.until(20*time.Second, "lines are dropped", func() bool {
		dropped, _ := f.metric("lockkeeper_plugin_log_lines_dropped_total", "plugin=demo")
		return dropped > 0 && f.list()[0].LogLinesDropped > 0
	})
	began, before, logged := time.Now(), cpu(t), f.logs.Len()
	f.until(20*time.Second, "three seconds", func() bool { return time.Since(began) > 3*time.Second })
	t.Logf("%.0f lines and %.0f ms of CPU a second", float64(f.logs.Len()-logged)/time.Since(began).Seconds(),
		float64((cpu(t)-before).Milliseconds())/time.Since(began).Seconds())
	require.Less(t, f.logs.Len()-logged, linesAtOnce+2*int(linesPerSecond*time.Since(began).Seconds()))
	require.NoError(t, f.call("demo"))
	require.Zero(t, f.list()[0].Restarts)
	require.NotZero(t, f.logs.FilterMessageSnippet(`\x00\xff\x1b[2J garbage`).Len())
	require.NotZero(t, f.logs.FilterMessageSnippet("lines dropped: the plugin prints more than 100 a second").Len())
	require.Len(t, f.processes["demo"].journal.ring.tail(1e6), ringLines)
}

// cpu is what this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// A plugin that hangs in its work and still answers Health is at work, as far as anybody can tell.
func TestPluginBusyWithACallIsNotKilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `processes: {demo: {kind: storage}}`, "storage-demo").start()
	pid := f.list()[0].PID
	conn, err := f.Conn("demo")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), (healthMisses+2)*healthInterval)
	defer cancel()
	err = conn.Invoke(ctx, pluginv1.Plugin_Configure_FullMethodName,
		&pluginv1.ConfigureRequest{Config: []byte(`{"block": true}`)}, &pluginv1.ConfigureResponse{})
	require.Equal(t, codes.DeadlineExceeded, grpcstatus.Code(err), err)
	require.Equal(t, pid, f.list()[0].PID)
	require.NoError(t, f.call("demo"))
}

func TestSecretsOfThePluginAreNotTold(t *testing.T) {
	t.Parallel()
	const config = `dsn: "p\"ass<wö rd/1&", hook: "https://bob:hidden%2Fone@chat.example.com/in?code=0123456789abc", tokens: [first-token, 1234567890]`
	f := func(tell, wantStart string) {
		t.Helper()
		fix := newFixture(t, `processes: {demo: {kind: storage, config: {tell: `+tell+`, `+config+`}}}`, "storage-demo")
		err := fix.Start(t.Context(), fix.console)
		said := fmt.Sprintln(err)
		if wantStart == "" {
			require.NoError(t, err)
			fix.until(20*time.Second, "all is printed", func() bool { return fix.logs.FilterMessageSnippet(`"tell":`).Len() == 1 })
		} else {
			require.ErrorContains(t, err, wantStart)
		}
		reports, err := json.Marshal(fix.list())
		require.NoError(t, err)
		said += string(reports)
		for _, entry := range fix.logs.All() {
			said += fmt.Sprintln(entry.Message, entry.ContextMap())
		}
		lines, err := json.Marshal(fix.processes["demo"].journal.ring.tail(ringLines))
		require.NoError(t, err)
		said += string(lines)
		require.Contains(t, said, redacted)
		for _, secret := range []string{`p"ass`, `p\"ass`, "wö", "p%22ass", "hidden", "0123456789abc", "first-token", "1234567890", "1.2345"} {
			if at := strings.Index(said, secret); at >= 0 {
				t.Errorf("%s: %q is in …%s…", tell, secret, said[max(0, at-100):min(len(said), at+100)])
			}
		}
	}
	// printed, and in the version
	f("all", "")
	// an error
	f("reject", "config: wrong: {")
	// a panic
	f("panic", "panic: {")
	// what it says it is
	f("kind", "says that it is a ")
}
