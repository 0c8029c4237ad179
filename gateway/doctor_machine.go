package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/confmap"

	"github.com/lockkeeper/lockkeeper/probes"
)

// machine looks at what a configuration finds on this machine.
func (d *doctor) machine(ctx context.Context, from *source) {
	c, err := readConfiguration(ctx, from)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			d.add(levelError, "config", "", strings.TrimSuffix(line, "\n"), "correct it; `lockkeeper validate` and `lockkeeper config` take the same --config")
		}
		return
	}
	d.area("ports", "each port is listened at, or free for it", func() { d.ports(c.effective) })
	if pings(c) {
		d.area("ping", "this user may ping", func() { d.ping(ctx) })
	}
	d.area("binaries", "each plugin has its binary", func() { d.binaries(c) })
	d.area("disk", "there is room on the disks of the data", func() { d.disks(c) })
}

// ports looks whether a gateway listens where it should or, while none runs, whether it could.
func (d *doctor) ports(conf *confmap.Conf) {
	for _, id := range used(conf) {
		for _, key := range []string{"endpoint", "protocols::grpc::endpoint", "protocols::http::endpoint"} {
			for _, endpoint := range texts(conf, id+"::"+key) {
				d.port(id+"::"+key, endpoint)
				if id == "extensions::dns" && !d.answered {
					d.free("udp", id+"::"+key, endpoint)
				}
			}
		}
	}
}

func (d *doctor) port(key, endpoint string) {
	if !d.answered {
		d.free("tcp", key, endpoint)
		return
	}
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return // not one: the configuration is valid
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), time.Second)
	if err != nil {
		d.add(levelError, "not_listening", endpoint, fmt.Sprintf("%s is configured, and nothing listens there, though a gateway answers: %v", key, err),
			"reload the gateway with this configuration (SIGHUP); is the gateway that --url names the one of this machine?")
		return
	}
	_ = connection.Close()
}

// free looks whether a port could be bound.
func (d *doctor) free(network, key, endpoint string) {
	var err error
	if network == "udp" {
		var socket net.PacketConn
		if socket, err = net.ListenPacket(network, endpoint); err == nil {
			_ = socket.Close()
		}
	} else {
		var listener net.Listener
		if listener, err = net.Listen(network, endpoint); err == nil {
			_ = listener.Close()
		}
	}
	_, port, _ := net.SplitHostPort(endpoint)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		d.add(levelError, "port_taken", endpoint, fmt.Sprintf("something else listens there by %s, so the gateway cannot start (%s)", network, key),
			fmt.Sprintf("end it (`ss -lnp 'sport = :%s'` names it), or set another %s", port, key))
	case errors.Is(err, syscall.EACCES):
		d.add(levelError, "port_rights", endpoint, fmt.Sprintf("this user must not listen there by %s (%s): %v", network, key, err),
			"give the binary the right (setcap cap_net_bind_service+ep, AmbientCapabilities of systemd), or set a port from 1024 on")
	case err != nil:
		d.add(levelError, "port", endpoint, fmt.Sprintf("cannot be listened at by %s: %v", network, err), "set an address of this machine for "+key)
	}
}

// texts are the values of a key that has one, or a list.
func texts(conf *confmap.Conf, key string) (values []string) {
	switch value := conf.Get(key).(type) {
	case nil:
	case []any:
		for _, v := range value {
			values = append(values, fmt.Sprint(v))
		}
	case []string:
		values = value
	default:
		values = []string{fmt.Sprint(value)}
	}
	return slices.DeleteFunc(values, func(v string) bool { return v == "" || v == "<nil>" })
}

// pings tells whether some probe is a ping.
func pings(c *configuration) bool {
	for _, id := range used(c.effective) {
		if !strings.HasPrefix(id, "receivers::probes") {
			continue
		}
		section, err := c.resolved.Sub(id)
		var config probes.Config
		if err != nil || section.Unmarshal(&config) != nil {
			continue
		}
		var modules []string
		if config.Machines.File != "" {
			modules = append(modules, config.Machines.Module)
		}
		for _, t := range config.Targets {
			modules = append(modules, t.Module)
		}
		for _, name := range modules {
			if m, err := config.Module(name); name == "" || err == nil && m.Prober == "icmp" { // "": the default of machines
				return true
			}
		}
	}
	return false
}

// ping makes one, to this machine itself.
func (d *doctor) ping(ctx context.Context) {
	var none probes.Config
	module, err := none.Module("icmp")
	if err == nil {
		var result probes.Result
		result, err = probes.Once(ctx, &module, probes.Target{Module: "icmp", Target: "127.0.0.1"})
		err = errors.Join(err, result.Err)
	}
	if err != nil {
		d.add(levelError, "ping", fmt.Sprintf("user %d", os.Getuid()), "must not ping, so the gateway does not start: "+err.Error(),
			"sysctl -w net.ipv4.ping_group_range='0 2147483647', or give the binary the right (setcap cap_net_raw+ep, AmbientCapabilities of systemd, capabilities NET_RAW of a container)")
	}
}

func (d *doctor) binaries(c *configuration) {
	all, err := c.binaries()
	if err != nil {
		d.add(levelError, "binary", "", err.Error(), "`make build` puts plugins beside the gateway's binary; extensions::plugins::directory says where else they are")
	}
	for _, b := range all {
		if b.Err != nil {
			d.add(levelError, "binary", b.Name, b.Err.Error(), fmt.Sprintf("put it into the directory of extensions::%s; of a pinned one `lockkeeper plugin verify` shows both sha256", b.extension))
		}
	}
}

// disks looks at the file systems of all data.
func (d *doctor) disks(c *configuration) {
	told := map[string]bool{}
	for _, directory := range dataDirectories(c) {
		for directory != filepath.Dir(directory) {
			if _, err := os.Stat(directory); err == nil {
				break
			}
			directory = filepath.Dir(directory) // it is made at the start
		}
		free, total, err := room(directory)
		if at := fmt.Sprint(free, total); err == nil && !told[at] {
			told[at] = true
			d.disk(directory, free, total)
		}
	}
}

const gibibyte = 1 << 30

// disk judges one: what is nearly full by share, and has not much by any measure.
func (d *doctor) disk(directory string, free, total uint64) {
	text := fmt.Sprintf("%.1f of %.1f GiB are free", float64(free)/gibibyte, float64(total)/gibibyte)
	const cure = "free it, or have less kept: extensions::plugins::processes::victoriametrics::config::retention, exporters::plugin/metrics::sending_queue::queue_size"
	switch {
	case free*50 < total && free < gibibyte:
		d.add(levelError, "disk", directory, "is full: "+text, cure)
	case free*10 < total && free < 5*gibibyte:
		d.add(levelWarn, "disk", directory, "is nearly full: "+text, cure)
	}
}
