package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The networks of the scene "sites", by the byte in their addresses.
const (
	gossipNet  = 6 // gateways: from one to the other by the link between their sites, and by no other
	outsideNet = 7 // what the world sees: entries, machines
	privateNet = 8 // between the data centres
	deskNet    = 9 // of the scene itself: consoles, questions to DNS servers
)

// A place is where a gateway stands.
type place struct {
	name, idc string // of outside no data centre
	host      int    // last byte of its addresses
}

func places() (berlin, tokyo, outside place) {
	return place{"berlin", "idc1", 11}, place{"tokyo", "idc2", 12}, place{"outside", "", 13}
}

func allPlaces() []place {
	berlin, tokyo, outside := places()
	return []place{berlin, tokyo, outside}
}

func (p place) gateway() string { return "gateway-" + p.name }

// at is its address in a network. Without networks of its own all are on loopback.
func (n network) at(net int, p place) string {
	if n.own {
		return fmt.Sprintf("10.%d.0.%d", net, p.host)
	}
	return fmt.Sprintf("127.%d.0.%d", net, p.host)
}

func bridge(net int) string {
	if net == deskNet {
		return switchName
	}
	return "net" + strconv.Itoa(net)
}

// port is the plug of a place in a network's switch.
func (p place) port(net int) string { return p.name + strconv.Itoa(net) }

// link is the network by which one place reaches another.
func (p place) link(to place) int {
	if p.idc != "" && to.idc != "" {
		return privateNet
	}
	return outsideNet
}

// wire gives each place a network namespace, with a cable to the desk's switch and to those of the links.
func (s *sitesStage) wire() error {
	if !s.network.own {
		return nil
	}
	for _, net := range []int{privateNet, outsideNet} {
		if err := errors.Join(ip("link add "+bridge(net)+" type bridge"), ip("link set "+bridge(net)+" up")); err != nil {
			return err
		}
	}
	for _, p := range allPlaces() {
		if err := s.network.start(s.processes, box{p.name, p.host}, s.file(p.name+".log"), "sleep", "infinity"); err != nil {
			return err
		}
		nets := []int{outsideNet}
		if p.idc != "" {
			nets = append(nets, privateNet)
		}
		for _, net := range nets {
			if err := errors.Join(
				ip(fmt.Sprintf("link add %s type veth peer name %s netns %s", p.port(net), bridge(net), s.pid(p))), s.heal(p, net),
				ip("link set "+p.port(net)+" up"),
				s.within(p, fmt.Sprintf("addr add %s/24 dev %s", s.network.at(net, p), bridge(net))), s.within(p, "link set "+bridge(net)+" up"),
			); err != nil {
				return err
			}
		}
		err := s.within(p, "addr add "+s.network.at(gossipNet, p)+"/32 dev lo")
		for _, to := range allPlaces() {
			if to != p {
				err = errors.Join(err, s.within(p, fmt.Sprintf("route add %s/32 via %s", s.network.at(gossipNet, to), s.network.at(p.link(to), to))))
			}
		}
		if err != nil {
			return err
		}
	}
	berlin, _, _ := places()
	var err error
	for _, m := range siteMachines() {
		err = errors.Join(err, s.within(berlin, fmt.Sprintf("addr add %s/24 dev %s", s.network.at(outsideNet, m), bridge(outsideNet))))
	}
	return err
}

func (s *sitesStage) pid(p place) string {
	return strconv.Itoa(s.processes.find(p.name).command.Process.Pid)
}

func (s *sitesStage) within(p place, args string) error {
	return runTool("nsenter", "-t "+s.pid(p)+" -n ip "+args)
}

// startAt starts a program at a place.
func (s *sitesStage) startAt(p place, name string, env []string, program string, args ...string) error {
	if s.network.own {
		program, args = "nsenter", append([]string{"-t", s.pid(p), "-n", program}, args...)
	}
	return s.processes.start(name, s.file(name+".log"), env, program, args...)
}

// cut loses all packets between a place and a network, without a word.
func (s *sitesStage) cut(p place, net int) error { return ip("link set " + p.port(net) + " nomaster") }

func (s *sitesStage) heal(p place, net int) error {
	return ip("link set " + p.port(net) + " master " + bridge(net))
}

// siteMachines stand in berlin, and can be reached from outside.
func siteMachines() (all []place) {
	for i, name := range strings.Fields("a b c d") {
		all = append(all, place{name: name, host: 21 + i})
	}
	return all
}
