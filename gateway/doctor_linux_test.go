package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A user who must not ping hears so before the gateway does not start. The rights of root in a user namespace of its own end at the network, which is
// another one's, and of which no group may ping.
func TestDoctorOfPings(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	config := writeFile(t, `receivers: {probes: {targets: [{module: icmp, target: "127.0.0.1", subject: machine/a}]}}`)
	f := func(want string, flags uintptr) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "doctor", "--config", config)
		cmd.Env = append(os.Environ(), mainEnv+"=1", "LOCKKEEPER_DATA="+t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if flags != 0 {
			own := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = own, own
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) {
			lacks(t, "network", "needs user namespaces")
		}
		if !strings.Contains(string(out), want) {
			t.Errorf("%v: no %q in\n%s", err, want, out)
		}
	}
	f("ok    ping: ", 0)
	f("error ping: user 0: must not ping, so the gateway does not start: ", syscall.CLONE_NEWUSER)
	f("      cure: sysctl -w net.ipv4.ping_group_range='0 2147483647', or give the binary the right (setcap cap_net_raw+ep", syscall.CLONE_NEWUSER)
}
