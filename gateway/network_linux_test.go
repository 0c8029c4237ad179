package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const networkEnv = "LOCKKEEPER_TEST_NETWORK"

// inOwnNetwork runs the test once more, in a process with a network of its own, and tells whether this is it. The kernel
// takes that network away with its processes.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(networkEnv) == t.Name() {
		command(t, "ip", "link", "set", "lo", "up")
		return true
	}
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacks(t, "network", "needs "+tool+": apt-get install iproute2 util-linux")
		}
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), networkEnv+"="+t.Name())
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := again.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		lacks(t, "network", "needs network namespaces: run it as root, on Linux")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("in a network of its own:\n%s", out)
	return false
}

// A box is a process in a network namespace of its own.
type box struct {
	*process
	start io.Closer
}

// newBox makes the namespace. The program in it waits for run, so that it finds the links that it needs.
func newBox(t *testing.T, program ...string) *box {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `read -r _; exec "$@"`, "sh"}, program...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	start, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	b := &box{startCommand(t, cmd), start}
	b.ip(t, "link set lo up")
	return b
}

func (b *box) run(t *testing.T) {
	t.Helper()
	if err := b.start.Close(); err != nil {
		t.Fatal(err)
	}
}

func (b *box) pid() string { return strconv.Itoa(b.cmd.Process.Pid) }

// ip runs the command of that name in the box.
func (b *box) ip(t *testing.T, args string) {
	t.Helper()
	command(t, "nsenter", append([]string{"-t", b.pid(), "-n", "ip"}, strings.Fields(args)...)...)
}

// link joins this namespace with the box: .1 of the network here, .2 there.
func (b *box) link(t *testing.T, name, network string) {
	t.Helper()
	ip(t, "link add "+name+" type veth peer name gateway netns "+b.pid())
	ip(t, "addr add "+network+".1/24 dev "+name)
	ip(t, "link set "+name+" up")
	b.ip(t, "addr add "+network+".2/24 dev gateway")
	b.ip(t, "link set gateway up")
}

// linkTo joins two boxes: .1 of the network in this one, .2 in the other.
func (b *box) linkTo(t *testing.T, other *box, name, network string) {
	t.Helper()
	b.ip(t, "link add "+name+" type veth peer name data netns "+other.pid())
	b.ip(t, "addr add "+network+".1/24 dev "+name)
	b.ip(t, "link set "+name+" up")
	other.ip(t, "addr add "+network+".2/24 dev data")
	other.ip(t, "link set data up")
}

// drop lets every packet from the box to an address vanish on the way: its frames go to a machine that is not there.
func (b *box) drop(t *testing.T, name, address string) {
	t.Helper()
	b.ip(t, "neigh replace "+address+" lladdr 02:00:00:00:00:99 nud permanent dev "+name)
}

// pass ends drop.
func (b *box) pass(t *testing.T, name, address string) {
	t.Helper()
	b.ip(t, "neigh del "+address+" dev "+name)
}

func ip(t *testing.T, args string) {
	t.Helper()
	command(t, "ip", strings.Fields(args)...)
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
