package pluginhost

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

func TestKilledPluginIsBackInTwoSeconds(t *testing.T) {
	f := newFixture(t, `processes: {demo: {kind: storage, config: {secret: s}}}`, "storage-demo").start()
	before := f.list()[0]
	fastest := time.Hour // a busy machine can make one restart slow, and the race detector does
	for range 3 {
		pid := f.list()[0].PID
		killed := time.Now()
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		f.until(20*time.Second, "back", func() bool {
			err := f.call("demo")
			if err != nil {
				require.Equal(t, codes.Unavailable, grpcstatus.Code(err), err)
			}
			now := f.list()[0]
			return err == nil && now.State == "running" && now.PID != pid
		})
		t.Logf("back after %s", time.Since(killed))
		fastest = min(fastest, time.Since(killed))
	}
	require.Less(t, fastest, 2*time.Second)
	after := f.list()[0]
	require.Equal(t, 3, after.Restarts)
	require.Equal(t, before.QueryURL, after.QueryURL)
	require.Equal(t, configured(before), configured(after))
	require.Equal(t, "exited: signal: killed", after.LastError)

	restarts, _ := f.metric("lockkeeper_plugin_restarts_total", "plugin=demo")
	require.EqualValues(t, 3, restarts)
	up, _ := f.metric("lockkeeper_plugin_up", "kind=storage,plugin=demo")
	require.EqualValues(t, 1, up)
	calls, _ := f.metric("lockkeeper_plugin_calls_total", "code=OK,method=lockkeeper.plugin.v1.Plugin/Health,plugin=demo")
	require.GreaterOrEqual(t, calls, 3.0)
	timed, _ := f.metric("lockkeeper_plugin_call_duration_seconds", "method=lockkeeper.plugin.v1.Plugin/Health,plugin=demo")
	require.GreaterOrEqual(t, timed, calls)
}

// A call that the plugin's end cuts off may be tried again, however it ended.
func TestCallUnderWayWhenThePluginEnds(t *testing.T) {
	t.Parallel()
	f := func(end func(*fixture)) {
		t.Helper()
		fix := newFixture(t, `processes: {demo: {kind: storage}}`, "storage-demo").start()
		conn, err := fix.Conn("demo")
		require.NoError(t, err)
		result := make(chan error, 1)
		go func() {
			result <- conn.Invoke(context.Background(), pluginv1.Plugin_Configure_FullMethodName,
				&pluginv1.ConfigureRequest{Config: []byte(`{"block": true}`)}, &pluginv1.ConfigureResponse{})
		}()
		fix.until(5*time.Second, "the call is under way", func() bool { return fix.logs.FilterMessage("blocking").Len() == 1 })
		end(fix)
		err = <-result
		require.Equal(t, codes.Unavailable, grpcstatus.Code(err), err)
	}
	// killed
	f(func(fix *fixture) { require.NoError(t, syscall.Kill(fix.list()[0].PID, syscall.SIGKILL)) })
	// stopped
	f(func(fix *fixture) { require.NoError(t, fix.Shutdown(t.Context())) })
}

// configured is the configuration that the plugin was given.
func configured(r report) string {
	text, _, _ := strings.Cut(r.Version, " PATH=")
	return text
}

func TestCrashLoopBacksOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `processes: {demo: {kind: storage, config: {crash: true}}}`, "storage-demo").start()
	f.until(10*time.Second, "four restarts", func() bool { return f.list()[0].Restarts >= 4 })
	require.Equal(t, "exited: exit status 4", f.list()[0].LastError)
	delays := f.logs.FilterMessage("plugin is down, restarting it").All()
	for i, entry := range delays[:4] {
		most := backoffFirst << i
		delay := entry.ContextMap()["in"].(time.Duration)
		require.LessOrEqual(t, delay, most)
		require.GreaterOrEqual(t, delay, most/2)
	}
}

func TestBackoff(t *testing.T) {
	f := func(failures int, start time.Duration, random float64, want time.Duration) {
		t.Helper()
		require.Equal(t, want, backoff(failures, start, random))
	}
	// the first is near at hand
	f(0, 0, 0, 100*time.Millisecond)
	f(0, 0, 1, 50*time.Millisecond)
	// doubled
	f(3, 0, 0, 800*time.Millisecond)
	// capped, however many there were
	f(4, 0, 0, 1500*time.Millisecond)
	f(1_000_000, 0, 0.5, 1125*time.Millisecond)
	// a start that takes long to fail is repeated less often
	f(0, 10*time.Second, 0, 100*time.Millisecond)
	f(6, 10*time.Second, 0, 6400*time.Millisecond)
	f(7, 10*time.Second, 0, 10*time.Second)
	f(1_000_000, time.Hour, 0, 30*time.Second)
}

func TestHungPluginIsRestarted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `processes: {demo: {kind: storage}}`, "storage-demo").start()
	pid := f.list()[0].PID
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	f.until(20*time.Second, "restarted", func() bool {
		now := f.list()[0]
		return now.State == "running" && now.PID != pid
	})
	require.Contains(t, f.list()[0].LastError, "did not answer 5 health checks in a row")
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
}

func TestStoppedWhileHung(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `processes: {demo: {kind: storage}}`, "storage-demo").start()
	pid := f.list()[0].PID
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	f.until(5*time.Second, "stopped, all its threads", func() bool { return hung(t, pid) })
	require.NoError(t, f.Shutdown(t.Context()))
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	require.Equal(t, 1, f.logs.FilterMessage("plugin did not stop in good order").Len())
}

// hung tells whether all threads of a process are stopped: they do so one after the other.
func hung(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	require.NoError(t, err)
	return !slices.ContainsFunc(threads, func(thread string) bool {
		stat, err := os.ReadFile(thread)
		return err == nil && !strings.Contains(string(stat), ") T ")
	})
}

// A plugin that says "not now" of its health is started and reported, not killed: a restart would not empty its disk.
func TestSickPluginKeepsRunning(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `processes: {demo: {kind: storage, config: {sick: true}}}`, "storage-demo").start()
	f.until(10*time.Second, "reported", func() bool {
		up, found := f.metric("lockkeeper_plugin_up")
		return found && up == 0
	})
	now := f.list()[0]
	require.Equal(t, "running", now.State)
	require.Equal(t, "disk full", now.LastError)
	require.Zero(t, now.Restarts)
}

func TestTakenPortIsPickedAnew(t *testing.T) {
	f := newFixture(t, `processes: {demo: {kind: storage}}`, "storage-demo").start()
	p := f.processes["demo"]
	listen := p.listen
	require.NoError(t, p.keepListen()) // the plugin itself has it
	require.NotEqual(t, listen, p.listen)
	again := p.listen
	require.NoError(t, p.keepListen())
	require.Equal(t, again, p.listen)
}

const gatewayDirectory = "TEST_GATEWAY_DIRECTORY"

// runGateway runs a host until it is killed, and prints where its plugin listens.
func runGateway() {
	cfg := createDefaultConfig().(*Config)
	cfg.Directory = os.Getenv(gatewayDirectory)
	cfg.Processes = map[string]Process{"demo": {Kind: "storage", Config: Settings{os.Getenv("TEST_GATEWAY_PLUGIN"): true}}}
	host, err := newHost(cfg, componenttest.NewNopTelemetrySettings())
	if err == nil {
		err = host.Start(context.Background(), componenttest.NewNopHost())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	runtime.GC()
	fmt.Println(host.processes["demo"].listen)
	select {}
}

func TestPluginEndsWithItsGateway(t *testing.T) {
	f := func(t *testing.T, behaviour string) {
		self, err := os.Executable()
		require.NoError(t, err)
		temporary, err := os.MkdirTemp("", "") // t.TempDir is too long a path for a socket
		require.NoError(t, err)
		defer os.RemoveAll(temporary)
		gateway := exec.Command(self)
		gateway.Env = append(os.Environ(), "TMPDIR="+temporary, gatewayDirectory+"="+pluginLinks(t, "storage-demo"), "TEST_GATEWAY_PLUGIN="+behaviour)
		stdout, err := gateway.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, gateway.Start())
		address, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)

		plugin, err := net.Dial("tcp", strings.TrimSpace(address))
		require.NoError(t, err, address)
		defer plugin.Close()
		require.NoError(t, gateway.Process.Kill())
		_ = gateway.Wait()
		require.NoError(t, plugin.SetReadDeadline(time.Now().Add(5*time.Second)))
		_, err = plugin.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the plugin outlived its gateway")

		if runtime.GOOS == "linux" {
			t.Setenv("TMPDIR", temporary)
			left, err := os.ReadDir(temporary)
			require.NoError(t, err)
			require.Len(t, left, 1)
			old := time.Now().Add(-leftoverAge)
			require.NoError(t, os.Chtimes(filepath.Join(temporary, left[0].Name()), old, old))
			var next sockets
			_, err = next.directory()
			require.NoError(t, err)
			require.NoDirExists(t, filepath.Join(temporary, left[0].Name()), "the next gateway cleans up")
			next.close()
		}
	}
	// it sees the end of the pipe, whatever signals it ignores
	t.Run("ignore_term", func(t *testing.T) { f(t, "ignore_term") })
	// it looks at nothing: the kernel tells it
	if runtime.GOOS == "linux" {
		t.Run("ignore_pipe", func(t *testing.T) { f(t, "ignore_pipe") })
	}
}

type point struct {
	labels string
	value  float64
}

// points are the current values of one metric; of a histogram its count.
func points(t *testing.T, telemetry *componenttest.Telemetry, name string) []point {
	t.Helper()
	var list []point
	metric, err := telemetry.GetMetric(name)
	if err != nil {
		return nil
	}
	switch data := metric.Data.(type) {
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			list = append(list, point{p.Attributes.Encoded(attribute.DefaultEncoder()), float64(p.Value)})
		}
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			list = append(list, point{p.Attributes.Encoded(attribute.DefaultEncoder()), float64(p.Value)})
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			list = append(list, point{p.Attributes.Encoded(attribute.DefaultEncoder()), float64(p.Count)})
		}
	}
	return list
}
