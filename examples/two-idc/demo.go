package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A demo is a running gateway and a running mesh that logs to it.
type demo struct {
	name      string
	dir       string // fresh: data, configurations, logs
	identity  identity
	idcs      []idc
	processes *processes
	callers   []*caller
	claims    []claim
}

// A setting is what a demo runs with.
type setting struct {
	name     string
	identity identity
	idcs     []idc                        // nil: twoIDCs
	prepare  func(directory string) error // fills the demo's directory; may be nil
	args     []string                     // of `lockkeeper run`
	env      []string                     // of the gateway
}

// start runs the gateway, then the mesh. The context it returns ends with ctx or when a process ends by itself, with the
// cause. Close the demo even after an error.
func start(ctx context.Context, o options, s setting) (context.Context, *demo, error) {
	ctx, fail := context.WithCancelCause(ctx)
	d := &demo{name: s.name, dir: filepath.Join(o.out, s.name), identity: s.identity, idcs: s.idcs, processes: &processes{fail: fail}}
	if d.idcs == nil {
		d.idcs = twoIDCs()
	}
	if err := checkPorts(); err != nil {
		return ctx, d, err
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return ctx, d, err
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return ctx, d, err
	}
	if s.prepare != nil {
		if err := s.prepare(d.dir); err != nil {
			return ctx, d, err
		}
	}
	begin := time.Now()
	env := append(slices.Clone(s.env), "LOCKKEEPER_DATA="+filepath.Join(d.dir, "data"))
	args := append([]string{"run"}, s.args...)
	for _, file := range o.configs {
		args = append(args, "--config", file)
	}
	if err := d.processes.start(gatewayProcess, d.file("gateway.log"), env, o.gateway, args...); err != nil {
		return ctx, d, err
	}
	if err := await(ctx, "the gateway", consoleURL+"/-/ready", 30*time.Second); err != nil {
		return ctx, d, err
	}
	d.say("the gateway is ready after %.1f s", time.Since(begin).Seconds())
	begin = time.Now()
	if err := d.startMesh(ctx, o.envoy); err != nil {
		return ctx, d, err
	}
	d.say("8 Envoys and 4 applications are ready after %.1f s, identity %s", time.Since(begin).Seconds(), s.identity)
	return ctx, d, nil
}

func (d *demo) close() error {
	for _, c := range d.callers {
		c.close()
	}
	return d.processes.stop()
}

func (d *demo) file(name string) string { return filepath.Join(d.dir, name) }

func (d *demo) say(format string, args ...any) { fmt.Printf(d.name+": "+format+"\n", args...) }

func (d *demo) startMesh(ctx context.Context, envoy string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, dc := range d.idcs {
		for _, s := range dc.servers {
			name := "app-" + s.name()
			if err := d.processes.start(name, d.file(name+".log"), nil, self, "app", "--address", s.ip); err != nil {
				return err
			}
		}
		for _, p := range dc.proxies() {
			config, err := envoyConfig(p, dc, d.identity)
			if err != nil {
				return err
			}
			name := "envoy-" + p.name()
			if err := os.WriteFile(d.file(name+".json"), config, 0o644); err != nil {
				return err
			}
			err = d.processes.start(name, d.file(name+".log"), nil, envoy,
				"-c", d.file(name+".json"), "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
			if err != nil {
				return err
			}
		}
	}
	for _, dc := range d.idcs {
		for _, p := range dc.proxies() {
			if err := await(ctx, "Envoy "+p.name(), fmt.Sprintf("http://%s:%d/ready", p.ip, adminPort), 30*time.Second); err != nil {
				return err
			}
		}
		for _, s := range dc.servers {
			if err := await(ctx, "app "+s.name(), fmt.Sprintf("http://%s:%d/app/status/200", s.ip, httpPort), 10*time.Second); err != nil {
				return err
			}
			for _, from := range dc.callers {
				c, err := newCaller(from, s)
				if err != nil {
					return err
				}
				d.callers = append(d.callers, c)
			}
		}
	}
	return nil
}

// checkPorts fails when another process has an address that the demo needs: one of the gateway's, or one of the mesh's.
func checkPorts() error {
	var gateway, mesh []string
	for number, what := range gatewayPorts() {
		gateway = append(gateway, taken("localhost", number, what)...)
	}
	for _, dc := range twoIDCs() {
		for _, p := range dc.proxies() {
			mesh = append(mesh, taken(p.ip, p.port(), "Envoy")...)
			mesh = append(mesh, taken(p.ip, adminPort, "Envoy's admin page")...)
			for _, w := range tcpWays(p, dc) {
				mesh = append(mesh, taken(p.ip, w.port, "Envoy, TCP")...)
			}
		}
		for _, s := range dc.servers {
			for _, port := range []int{httpPort, grpcPort, tcpPort} {
				mesh = append(mesh, taken(s.ip, port, "application")...)
			}
		}
	}
	for _, all := range [][]string{gateway, mesh} {
		if len(all) > 0 {
			slices.Sort(all)
			return fmt.Errorf("can't listen on %s; `ss -ltnp` shows who does: stop that and run again", strings.Join(all, ", "))
		}
	}
	return nil
}

// taken says why an address can't be had, or nothing.
func taken(ip string, port int, what string) []string {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		return []string{fmt.Sprintf("%s:%d (%s: %v)", ip, port, what, errors.Unwrap(err))}
	}
	_ = l.Close()
	return nil
}
