package probes

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
)

// The process of TestStoppedProcessBlamesNobody: it probes until its input ends, and prints what failed.
func TestStoppedProcess(t *testing.T) {
	address := os.Getenv("PROBES_STOPPED")
	if address == "" {
		return
	}
	telemetry, err := newTelemetry(noop.NewMeterProvider())
	require.NoError(t, err)
	w := &watcher{}
	m := defaultModule("http")
	m.Timeout = 1500 * time.Millisecond
	e, err := newEngine(map[string]*Module{"http": &m}, surroundings{}, []observer{w}, telemetry)
	require.NoError(t, err)
	var targets []Target
	for i := range 10 {
		targets = append(targets, Target{Module: "http", Target: address, Subject: fmt.Sprintf("machine/m%d", i), Interval: 200 * time.Millisecond})
	}
	e.set(targets)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the end
		cancel()
	}()
	e.run(ctx)
	for _, one := range w.all() {
		if !one.OK {
			fmt.Println("failed:", one.Reason)
		}
	}
	fmt.Println("evidence:", len(w.all()))
}

// A gateway that was stopped, as a virtual machine is when it moves, must not report that all its targets failed meanwhile.
func TestStoppedProcessBlamesNobody(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		select { // so that there are always probes under way
		case <-time.After(500 * time.Millisecond):
		case <-r.Context().Done():
		}
	})
	child := exec.Command(os.Args[0], "-test.run", "^TestStoppedProcess$")
	child.Env = append(os.Environ(), "PROBES_STOPPED="+server.URL)
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	time.Sleep(1500 * time.Millisecond) // probes are under way; nothing tells when
	require.NoError(t, child.Process.Signal(syscall.SIGSTOP))
	time.Sleep(3 * time.Second) // twice their timeout
	require.NoError(t, child.Process.Signal(syscall.SIGCONT))
	time.Sleep(time.Second)
	require.NoError(t, stdin.Close())
	var evidence string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "failed:") {
			t.Error(lines.Text())
		}
		if n, ok := strings.CutPrefix(lines.Text(), "evidence: "); ok {
			evidence = n
		}
	}
	require.NoError(t, child.Wait())
	require.NotEmpty(t, evidence)
	require.NotEqual(t, "0", evidence)
}
