package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	gatewayName = "api.gslb.example.com."
	nameServer  = "127.0.0.1:8053" // the gateway's
	resolver    = "127.0.0.1:8153" // unbound's

	askTimeout = 2 * time.Second
)

// An asker asks one DNS server for the name that stands for both data centres, by one socket. Not for concurrent use.
type asker struct {
	conn  *dns.Conn
	query *dns.Msg
}

func newAsker(server string) (*asker, error) {
	conn, err := dns.Dial("udp", server)
	if err != nil {
		return nil, err
	}
	return &asker{conn: conn, query: new(dns.Msg).SetQuestion(gatewayName, dns.TypeA)}, nil
}

func (a *asker) close() { _ = a.conn.Close() }

// ask returns the one address of the answer.
func (a *asker) ask() (netip.Addr, error) {
	a.query.Id = dns.Id()
	if err := errors.Join(a.conn.SetDeadline(time.Now().Add(askTimeout)), a.conn.WriteMsg(a.query)); err != nil {
		return netip.Addr{}, err
	}
	for {
		answer, err := a.conn.ReadMsg()
		switch {
		case err != nil:
			return netip.Addr{}, fmt.Errorf("ask %s: %w", a.conn.RemoteAddr(), err)
		case answer.Id != a.query.Id:
			continue // of a question that was given up
		}
		return onlyAddress(answer)
	}
}

func onlyAddress(answer *dns.Msg) (netip.Addr, error) {
	if answer.Rcode == dns.RcodeSuccess && len(answer.Answer) == 1 {
		if a, ok := answer.Answer[0].(*dns.A); ok {
			if ip, ok := netip.AddrFromSlice(a.A.To4()); ok {
				return ip, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("not one address: %s", strings.ReplaceAll(answer.String(), "\n", " "))
}

// share asks n times and returns which part of the answers each address is.
func share(ctx context.Context, server string, n int) (map[netip.Addr]float64, error) {
	const askers = 4
	count := map[netip.Addr]float64{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var failed error
	for range askers {
		wait.Go(func() {
			own, err := countAnswers(ctx, server, n/askers)
			mu.Lock()
			defer mu.Unlock()
			failed = cmp.Or(failed, err)
			for ip, k := range own {
				count[ip] += float64(k) / float64(n/askers*askers)
			}
		})
	}
	wait.Wait()
	return count, failed
}

func countAnswers(ctx context.Context, server string, n int) (map[netip.Addr]int, error) {
	a, err := newAsker(server)
	if err != nil {
		return nil, err
	}
	defer a.close()
	count := map[netip.Addr]int{}
	for range n {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		ip, err := a.ask()
		if err != nil {
			return nil, err
		}
		count[ip]++
	}
	return count, nil
}

// findProgram looks where Debian has programs for everybody and for root.
func findProgram(name string) (string, error) {
	for _, directory := range append([]string{""}, "/usr/sbin/", "/usr/bin/") {
		if path, err := exec.LookPath(directory + name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s: on Debian `apt-get install bind9-dnsutils unbound` has what this scene needs", name)
}

// dig asks as people do.
func dig(ctx context.Context) (string, error) {
	program, err := findProgram("dig")
	if err != nil {
		return "", err
	}
	host, port, _ := net.SplitHostPort(nameServer)
	out, err := exec.CommandContext(ctx, program, "@"+host, "-p", port, "+short", gatewayName).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("dig: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

const unboundConfig = `server:
  interface: %s
  port: %s
  directory: %q
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  num-threads: 1
stub-zone:
  name: gslb.example.com
  stub-addr: %s
remote-control:
  control-enable: no
`

// startUnbound starts a resolver that knows the zone's server, as a delegation would tell it.
func (d *demo) startUnbound(ctx context.Context) error {
	program, err := findProgram("unbound")
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(resolver)
	config := fmt.Sprintf(unboundConfig, host, port, d.dir, strings.Replace(nameServer, ":", "@", 1))
	if err := os.WriteFile(d.file("unbound.conf"), []byte(config), 0o644); err != nil {
		return err
	}
	if err := d.processes.start("unbound", d.file("unbound.log"), nil, program, "-d", "-c", d.file("unbound.conf")); err != nil {
		return err
	}
	return until(ctx, 10*time.Second, func() error {
		_, err := countAnswers(ctx, resolver, 1)
		return err
	})
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
