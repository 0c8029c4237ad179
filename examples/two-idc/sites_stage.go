package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed sites/lockkeeper.yaml
var sitesConfig []byte

//go:embed sites/witness.yaml
var witnessConfig []byte

// gossipKey seals what the demo's gateways tell one another.
const gossipKey = "ZGVtby1vbmx5LWtleS0wMQ=="

// sitesStage is what the scene "sites" is played on.
type sitesStage struct {
	*demo
	options
	network   network
	followers map[string]*follower // by the IDC's place
	cancel    context.CancelFunc
	wait      sync.WaitGroup
}

// open starts what stands at the three places. Close the stage even after an error.
func (s *sitesStage) open(ctx context.Context) (context.Context, error) {
	ctx, fail := context.WithCancelCause(ctx)
	s.demo = &demo{name: "sites", dir: filepath.Join(s.out, "sites"), processes: &processes{fail: fail}}
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o755)); err != nil {
		return ctx, err
	}
	if err := errors.Join(s.writeSites(), s.wire(), s.startApps()); err != nil {
		return ctx, err
	}
	for _, p := range allPlaces() {
		if err := s.startSite(p); err != nil {
			return ctx, err
		}
	}
	for _, p := range allPlaces() {
		if err := await(ctx, p.gateway(), s.console(p)+"/-/ready", 30*time.Second); err != nil {
			return ctx, err
		}
	}
	if err := s.startClient(); err != nil {
		return ctx, err
	}
	ctx, s.cancel = context.WithCancel(ctx)
	berlin, tokyo, _ := places()
	s.followers = map[string]*follower{}
	for _, p := range []place{berlin, tokyo} {
		f := &follower{server: s.network.at(deskNet, p) + ":8053"}
		s.followers[p.name] = f
		s.wait.Go(func() { f.run(ctx) })
	}
	if s.network.own {
		s.say("in networks of its own; to look into them: nsenter -t %d -n curl %s", os.Getpid(), s.console(berlin))
	}
	return ctx, nil
}

func (s *sitesStage) close() error {
	if s.cancel != nil {
		s.cancel()
	}
	s.wait.Wait()
	for _, p := range allPlaces() { // a process that is stopped does not end
		if s.processes.has(p.gateway()) {
			_ = s.processes.signal(p.gateway(), syscall.SIGCONT)
		}
	}
	return s.processes.stop()
}

func (s *sitesStage) console(p place) string { return "http://" + s.network.at(deskNet, p) + ":7070" }

// writeSites writes the configurations, and what xDS serves: a cluster of the four machines.
func (s *sitesStage) writeSites() error {
	var machines, endpoints list
	for _, m := range siteMachines() {
		address := fmt.Sprintf("%s:%d", s.network.at(outsideNet, m), httpPort)
		machines = append(machines, object{"name": m.name, "address": address, "idc": "idc1"})
		endpoints = append(endpoints, object{"address": address, "machine": m.name})
	}
	files := map[string]object{
		"machines.json": {"machines": machines}, "nothing.json": {"machines": list{}}, "clusters.json": {"clusters": list{object{"name": "app", "endpoints": endpoints}}},
	}
	var err error
	for name, content := range files {
		text, problem := json.MarshalIndent(content, "", " ")
		err = errors.Join(err, problem, os.WriteFile(s.file(name), text, 0o644))
	}
	return errors.Join(err, os.WriteFile(s.file("lockkeeper.yaml"), sitesConfig, 0o644), os.WriteFile(s.file("witness.yaml"), witnessConfig, 0o644))
}

// startApps starts what is probed: of each data centre its entry and its inside, and the machines.
func (s *sitesStage) startApps() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	berlin, tokyo, _ := places()
	for _, p := range []place{berlin, tokyo} {
		err = errors.Join(err, s.startAt(p, "entry-"+p.name, nil, self, "app", "--address", s.network.at(outsideNet, p)),
			s.startAt(p, "mesh-"+p.name, nil, self, "app", "--address", s.network.at(privateNet, p)))
	}
	for _, m := range siteMachines() {
		err = errors.Join(err, s.startAt(berlin, "machine-"+m.name, nil, self, "app", "--address", s.network.at(outsideNet, m)))
	}
	return err
}

// startSite starts a gateway.
func (s *sitesStage) startSite(p place) error {
	berlin, tokyo, _ := places()
	config, machines := "lockkeeper.yaml", "machines.json"
	if p.idc == "" {
		config = "witness.yaml"
	}
	if p == tokyo {
		machines = "nothing.json" // they are watched where they stand, and from outside
	}
	env := []string{
		"DEMO_SITE=" + p.name, "DEMO_DIRECTORY=" + s.dir, "LOCKKEEPER_DATA=" + s.file("data-"+p.name), "DEMO_MACHINES=" + s.file(machines),
		"DEMO_KEY=" + gossipKey, "DEMO_TOKEN=" + demoToken, "DEMO_DESK=" + s.network.at(deskNet, p), "DEMO_GOSSIP=" + s.network.at(gossipNet, p),
	}
	for _, other := range allPlaces() {
		env = append(env, "DEMO_GOSSIP_"+strings.ToUpper(other.name)+"="+s.network.at(gossipNet, other))
	}
	for _, idc := range []place{berlin, tokyo} {
		name := strings.ToUpper(idc.name)
		env = append(env, "DEMO_ENTRY_"+name+"="+s.network.at(outsideNet, idc), "DEMO_MESH_"+name+"="+s.network.at(privateNet, idc))
	}
	return s.startAt(p, p.gateway(), env, s.gateway, "run", "--config", s.file(config))
}

// startClient starts an Envoy in berlin that may ask either gateway: the bootstrap of `lockkeeper snippet envoy --xds` with a second endpoint.
func (s *sitesStage) startClient() error {
	berlin, tokyo, _ := places()
	text, err := s.snippetXDS(berlin)
	if err != nil {
		return err
	}
	var bootstrap object
	if err := yaml.Unmarshal(text, &bootstrap); err != nil {
		return err
	}
	cluster := bootstrap["static_resources"].(object)["clusters"].(list)[0].(object)
	group := cluster["load_assignment"].(object)["endpoints"].(list)[0].(object)
	group["lb_endpoints"] = append(group["lb_endpoints"].(list), endpoint(s.network.at(gossipNet, tokyo), xdsPort))
	bootstrap["admin"] = object{"address": socket(s.network.at(deskNet, berlin), adminPort)}
	if text, err = yaml.Marshal(bootstrap); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("envoy.yaml"), text, 0o644); err != nil {
		return err
	}
	return s.startAt(berlin, "envoy", nil, s.envoy, "-c", s.file("envoy.yaml"), "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
}

func (s *sitesStage) snippetXDS(p place) ([]byte, error) {
	address := s.network.at(gossipNet, p)
	out, err := exec.Command(s.gateway, "snippet", "envoy", "--address", fmt.Sprintf("%s:%d", address, sinkPort), "--xds", fmt.Sprintf("%s:%d", address, xdsPort)).Output()
	if err != nil {
		return nil, fmt.Errorf("lockkeeper snippet envoy: %w", err)
	}
	return out, nil
}

// entry is the address that DNS has of a data centre.
func (s *sitesStage) entry(p place) netip.Addr {
	return netip.MustParseAddr(s.network.at(outsideNet, p))
}
