package probes

import (
	"maps"
	"slices"
	"strings"
)

// kind is a way to probe, built in.
type kind struct {
	// check tells what is wrong with a target's Target and Address.
	check func(target *Target) error

	// open reads what the module needs (certificates, …), and returns its prober, which holds nothing open between probes.
	open func(module *Module, around surroundings) (prober, error)
}

// kinds are all of them; a file each.
func kinds() map[string]kind {
	return map[string]kind{
		"http": {checkHTTP, openHTTP},
		"tcp":  {checkHostPort, openTCP},
		"icmp": {checkICMP, openICMP},
		"dns":  {checkDNS, openDNS},
		"grpc": {checkHostPort, openGRPC},
	}
}

func kindNames() string { return strings.Join(slices.Sorted(maps.Keys(kinds())), ", ") }
