package probes

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const networkEnv = "LOCKKEEPER_TEST_NETWORK"

// inOwnNetwork runs the test once more, in a process with a network of its own, which the script has made ready, and tells whether this
// is it.
func inOwnNetwork(t *testing.T, script string) bool {
	t.Helper()
	if os.Getenv(networkEnv) == t.Name() {
		out, err := exec.Command("sh", "-ec", script).CombinedOutput()
		require.NoError(t, err, "%s", out)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil { // it left a process
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		}
		return true
	}
	lacks := func(what string) {
		if slices.Contains(strings.Split(os.Getenv("LOCKKEEPER_REQUIRE"), ","), "network") {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	for _, tool := range []string{"ip", "nsenter", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacks("needs " + tool + ": apt-get install iproute2 util-linux")
		}
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
	again.Env = append(os.Environ(), networkEnv+"="+t.Name())
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := again.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		lacks("needs network namespaces: run it as root, on Linux")
	}
	require.NoError(t, err, "%s", out)
	return false
}

const (
	allowed   = `ip link set lo up; echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range`
	forbidden = `ip link set lo up; echo "1 0" > /proc/sys/net/ipv4/ping_group_range`
)

// The kernel lets everybody of some groups have a datagram socket.
func TestPingOverADatagramSocket(t *testing.T) {
	if inOwnNetwork(t, allowed) {
		socket, _, err := openEcho(false)
		require.NoError(t, err)
		require.False(t, socket.(*linuxSocket).raw)
		require.NoError(t, socket.Close())
		pingLoopback(t)
	}
}

// Else it takes a raw one.
func TestPingOverARawSocket(t *testing.T) {
	if inOwnNetwork(t, forbidden) {
		socket, _, err := openEcho(false)
		require.NoError(t, err)
		require.True(t, socket.(*linuxSocket).raw)
		require.NoError(t, socket.Close())
		pingLoopback(t)
	}
}

func pingLoopback(t *testing.T) {
	t.Helper()
	module := defaultModule("icmp")
	for _, size := range []int{echoData, 56, maxEchoData} {
		module.ICMP.PayloadSize = size
		for _, to := range []string{"127.1.2.3", "::1"} {
			ping, err := openICMP(&module, surroundings{})
			require.NoError(t, err)
			result := ping(t.Context(), &Target{Module: "icmp", Target: to})
			require.NoError(t, result.Err)
			require.True(t, result.OK, "%s: %s", to, result.Reason)
			require.Less(t, result.Took, module.Timeout)
			require.Contains(t, result.Values, Value{Name: "probe_icmp_reply_hop_limit", Number: 64})
		}
		result := must(openICMP(&module, surroundings{}))(t.Context(), &Target{Module: "icmp", Target: "192.0.2.1"})
		require.ErrorIs(t, result.Err, syscall.ENETUNREACH)
	}
}

func must(p prober, _ error) prober { return p }

// Another program's pings come back to a raw socket, too, if the kernel is not told to keep them.
func TestPingsHearNothingOfOthers(t *testing.T) {
	if !inOwnNetwork(t, forbidden) {
		return
	}
	one, _, err := openEcho(false)
	require.NoError(t, err)
	other, _, err := openEcho(false)
	require.NoError(t, err)
	to := pingAddress(&Target{Target: "127.0.0.1"})
	one.send([]echoRequest{{echo: echo{nonce: 1}, to: to, size: 56}}, func(_ echoRequest, err error) { t.Error(err) })
	heard := 0
	require.Eventually(t, func() bool {
		one.receive(func(r echoReply) {
			require.EqualValues(t, 1, r.nonce)
			heard++
		})
		return heard == 1
	}, 10*time.Second, time.Millisecond)
	other.receive(func(r echoReply) { t.Errorf("%+v", r) })
	require.NoError(t, one.Close())
	require.NoError(t, other.Close())
}

// The kernel tells of replies that it has no room for.
func TestPingsKnowWhatIsLost(t *testing.T) {
	if !inOwnNetwork(t, allowed) {
		return
	}
	socket, _, err := openEcho(false)
	require.NoError(t, err)
	require.NoError(t, syscall.SetsockoptInt(socket.(*linuxSocket).fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096))
	require.Zero(t, socket.receive(func(echoReply) {}))
	to := pingAddress(&Target{Target: "127.0.0.1"})
	for range 1000 {
		socket.send([]echoRequest{{to: to, size: 56}}, func(_ echoRequest, err error) { t.Error(err) })
	}
	require.Eventually(t, func() bool { return socket.receive(func(echoReply) {}) > 500 }, 10*time.Second, time.Millisecond)
	require.NoError(t, socket.Close())
}

// Without both, the error says what to do.
func TestPingForbidden(t *testing.T) {
	if !inOwnNetwork(t, forbidden) {
		return
	}
	const nobody = 65534
	cmd := exec.Command(os.Args[0], "-test.run=^TestPingForbiddenHelp$", "-test.v")
	cmd.Env = append(os.Environ(), "LOCKKEEPER_TEST_NOBODY=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	dir, err := os.MkdirTemp("/tmp", "lockkeeper-probes")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	binary, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir+"/test", binary, 0o755))
	cmd.Path, cmd.Dir = dir+"/test", dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "sysctl net.ipv4.ping_group_range")
	require.Contains(t, string(out), "CAP_NET_RAW")
}

func TestPingForbiddenHelp(t *testing.T) {
	if os.Getenv("LOCKKEEPER_TEST_NOBODY") == "" {
		t.Skip("runs in TestPingForbidden")
	}
	_, err := newPinger(nil, nil)
	require.ErrorIs(t, err, syscall.EPERM)
	t.Log(err)
}

// A router says that a network is not to be reached: that ends the probe, long before its timeout.
func TestPingsHearRouters(t *testing.T) {
	f := func(t *testing.T, groups string) {
		if !inOwnNetwork(t, groups+`
			unshare -n sleep 30 >/dev/null 2>&1 & router=$!
			while [ "$(readlink /proc/$router/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
			ip link add here type veth peer name there netns $router
			ip addr add 10.77.0.1/24 dev here; ip link set here up; ip route add 10.78.0.0/16 via 10.77.0.2
			nsenter -t $router -n sh -ec 'ip addr add 10.77.0.2/24 dev there; ip link set there up
				echo 1 > /proc/sys/net/ipv4/ip_forward; ip route add unreachable 10.78.0.0/16'
			echo $router`) {
			return
		}
		module := defaultModule("icmp")
		module.Timeout = 20 * time.Second
		result := must(openICMP(&module, surroundings{}))(t.Context(), &Target{Module: "icmp", Target: "10.78.0.1"})
		require.NoError(t, result.Err)
		require.Equal(t, "host unreachable", result.Reason)
		require.Less(t, result.Took, 10*time.Second)
	}
	t.Run("datagram", func(t *testing.T) { f(t, allowed) })
	t.Run("raw", func(t *testing.T) { f(t, forbidden) })
}

// One pinger serves IPv4 and IPv6 at once, and ends with its context.
func TestPinger(t *testing.T) {
	if !inOwnNetwork(t, forbidden) {
		return
	}
	module := defaultModule("icmp")
	var mu sync.Mutex
	heard := map[string]int{}
	p, err := newPinger(map[string]*Module{"icmp": &module}, func(outcomes []outcome) {
		mu.Lock()
		defer mu.Unlock()
		for _, o := range outcomes {
			if o.OK {
				heard[o.target.Target]++
			}
		}
	})
	require.NoError(t, err)
	p.set([]*Target{
		{Module: "icmp", Target: "127.0.0.1", Interval: leastInterval}, {Module: "icmp", Target: "ipv6", Address: "::1", Interval: leastInterval},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.run(ctx)
	}()
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return heard["127.0.0.1"] > 3 && heard["ipv6"] > 3
	}, 20*time.Second, 10*time.Millisecond)
	cancel()
	<-ended
	_, foreign, _ := p.ignored()
	require.Zero(t, foreign)
}
