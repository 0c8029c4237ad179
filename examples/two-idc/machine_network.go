package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	ownNetwork  = "DEMO_NETWORK" // set in the process that has one
	switchName  = "switch"
	switchWaits = 30 * time.Second // for a scene that was told to end
)

// A network is where machines stand: each in a network namespace of its own, by a cable to one switch; or, where namespaces can't be had, on loopback addresses.
type network struct {
	own bool
}

// A box is a process with an address of its own.
type box struct {
	name string
	host int // last byte of its address
}

func (n network) ip(host int) string {
	if n.own {
		return fmt.Sprintf("10.9.0.%d", host)
	}
	return fmt.Sprintf("127.9.0.%d", host)
}

// enterNetwork runs this program once more, in a network of its own that the kernel takes away with its processes, whatever ends them. done: that was it, and
// err is how it ended. Else this process is to go on, in n, which may be loopback addresses: loss says what a scene can't show there.
func enterNetwork(ctx context.Context, scene, loss string) (n network, done bool, err error) {
	if os.Getenv(ownNetwork) != "" {
		return network{own: true}, false, errors.Join(ip("link set lo up"), ip("link add "+switchName+" type bridge"),
			ip("addr add "+network{own: true}.ip(1)+"/24 dev "+switchName), ip("link set "+switchName+" up"))
	}
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return n, false, lacking(scene, loss, err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return n, false, err
	}
	again := exec.CommandContext(ctx, self, os.Args[1:]...)
	again.Env = append(os.Environ(), ownNetwork+"=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	again.SysProcAttr = withNetwork(true)
	again.Cancel = func() error { return again.Process.Signal(syscall.SIGTERM) }
	again.WaitDelay = switchWaits
	if err := again.Start(); err != nil {
		return n, false, lacking(scene, loss, err)
	}
	var failed *exec.ExitError
	if err = again.Wait(); errors.As(err, &failed) {
		err = errors.New("see above")
	}
	return n, true, err
}

// lacking says what the scene can't show on loopback addresses, which is not enough where a network is required.
func lacking(scene, loss string, why error) error {
	if strings.Contains(","+os.Getenv("LOCKKEEPER_REQUIRE")+",", ",network,") {
		return fmt.Errorf("no network namespaces: %w", why)
	}
	fmt.Printf("%s: no network namespaces (%v): loopback addresses take their place. %s. Install iproute2 and util-linux, and run it as root or where user namespaces are "+
		"allowed.\n", scene, why, loss)
	return nil
}

// start starts a program in a box.
func (n network) start(ps *processes, b box, log string, program string, args ...string) error {
	if !n.own {
		return ps.start(b.name, log, nil, program, args...)
	}
	p := &process{name: b.name, log: log, command: exec.Command("sh", append([]string{"-c", `read -r _; exec "$@"`, "sh", program}, args...)...)}
	p.command.SysProcAttr = withNetwork(false)
	ready, err := p.command.StdinPipe()
	if err != nil {
		return err
	}
	if err := ps.run(p); err != nil {
		return err
	}
	pid := strconv.Itoa(p.command.Process.Pid)
	within := func(args string) error { return runTool("nsenter", "-t "+pid+" -n ip "+args) }
	return errors.Join(
		ip("link add "+b.name+" type veth peer name eth0 netns "+pid), ip("link set "+b.name+" master "+switchName+" up"),
		within("addr add "+n.ip(b.host)+"/24 dev eth0"), within("link set eth0 up"), within("link set lo up"),
		ready.Close(),
	)
}

func ip(args string) error { return runTool("ip", args) }

func runTool(name, args string) error {
	if out, err := exec.Command(name, strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, args, err, out)
	}
	return nil
}

// A fault is something that happens to a machine.
type fault struct {
	name, how    string
	bounded      bool // by the profile: what pings see
	strike, mend func(s *machineStage, b box) error
}

// faults are those that the network can show.
func (n network) faults() []fault {
	signal := func(signal syscall.Signal) func(*machineStage, box) error {
		return func(s *machineStage, b box) error { return s.processes.signal(b.name, signal) }
	}
	cable := func(format string) func(*machineStage, box) error {
		return func(_ *machineStage, b box) error { return ip(fmt.Sprintf(format, b.name)) }
	}
	frozen := fault{"frozen", "SIGSTOP: the kernel answers pings and takes connections, nobody reads them", false, signal(syscall.SIGSTOP), signal(syscall.SIGCONT)}
	if n.own {
		return []fault{
			{"link down", "`ip link set` down at the switch's side", true, cable("link set %s down"), cable("link set %s up")},
			{"blackhole", "the port is taken out of the switch: the link stays up, and every packet is lost without a word", true, cable("link set %s nomaster"), cable("link set %s master " + switchName)},
			frozen,
		}
	}
	return []fault{
		{
			"killed", "SIGKILL: connections are refused", true,
			func(s *machineStage, b box) error { return s.processes.end(b.name, syscall.SIGKILL) },
			func(s *machineStage, b box) error { return s.processes.again(b.name) },
		},
		frozen,
	}
}
