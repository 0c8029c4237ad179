package real

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience bounds every wait in tests with real processes.
const patience = 20 * time.Second

// process is another program, which the test's end ends.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	output *output
}

// output collects what a process says.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// start runs a program in a directory of its own.
func start(t testing.TB, directory, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{}), output: &output{}}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = directory, p.output, p.output
	p.cmd.Env = append(os.Environ(), "LOCKKEEPER_DATA="+directory)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(patience):
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(program), p.output)
		}
	})
	return p
}

// answers waits until the process answers a question at an address.
func (p *process) answers(t testing.TB, address netip.AddrPort, name string) {
	t.Helper()
	client := dns.Client{Timeout: time.Second}
	ready := func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%s ended: %s", p.cmd.Path, p.output)
		default:
		}
		response, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), address.String())
		return err == nil && response.Rcode == dns.RcodeSuccess
	}
	wait(t, p.cmd.Path+" to answer", ready)
}

// wait asks again and again until it is so.
func wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// tool finds a program. It skips the test where it is missing, or fails it where LOCKKEEPER_REQUIRE names what it belongs to.
func tool(t testing.TB, belongs, cure string, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, path := range []string{name, "/usr/sbin/" + name, "/usr/bin/" + name} {
			if found, err := exec.LookPath(path); err == nil {
				absolute, err := filepath.Abs(found)
				if err != nil {
					t.Fatal(err)
				}
				return absolute
			}
		}
	}
	lacks(t, belongs, fmt.Sprintf("needs %s: %s", names[0], cure))
	return ""
}

// lacks skips the test for a reason, or fails it where LOCKKEEPER_REQUIRE names what is missing.
func lacks(t testing.TB, name, reason string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("LOCKKEEPER_REQUIRE"), ","), name) {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// loopback is an address of this process alone, so that a port that is free now is free later; each number is another address.
func loopback(number int) netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(16*number + pid>>16&15), byte(pid >> 8), byte(pid)})
}

// freePort is a port at which nothing listens on any of the addresses, by UDP and TCP, and that the kernel gives to nobody.
func freePort(t testing.TB, addresses ...netip.Addr) uint16 {
	t.Helper()
	for range 1000 {
		port := uint16(10_000 + rand.IntN(20_000))
		taken := slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !isFree(netip.AddrPortFrom(a, port)) })
		if !taken {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func isFree(address netip.AddrPort) bool {
	packets, err := net.ListenPacket("udp", address.String())
	if err != nil {
		return false
	}
	defer packets.Close()
	listener, err := net.Listen("tcp", address.String())
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// write makes a file and returns its path.
func write(t testing.TB, directory, name, text string) string {
	t.Helper()
	path := filepath.Join(directory, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func localhost() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }
