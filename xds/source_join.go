package xds

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// joinSources puts together what the files say: a machine may be named in one, and its endpoints in another.
func joinSources(files []*sourceFile) ([]*Cluster, error) {
	machines, errs := newMachines(files)
	var clusters []*Cluster
	seen := map[string]string{}
	for _, f := range files {
		for i := range f.Clusters {
			c := &f.Clusters[i]
			refuse := func(err error) { errs = append(errs, fmt.Errorf("%s: cluster %q: %w", c.at, c.Name, err)) }
			if before, ok := seen[c.Name]; ok {
				refuse(fmt.Errorf("is named at %s already", before))
				continue
			}
			seen[c.Name] = c.at
			if c.Name == "" || len(c.Name) > maxName || strings.ContainsFunc(c.Name, isControl) {
				refuse(fmt.Errorf("name: must have 1 to %d characters that can be printed", maxName))
				continue
			}
			if c.ConnectTimeout < 0 {
				refuse(fmt.Errorf("connect_timeout: %v is below 0", c.ConnectTimeout))
				continue
			}
			resource, err := clusterResource(c)
			if err != nil {
				refuse(err)
			}
			endpoints, mistakes := machines.endpoints(c)
			errs = append(errs, mistakes...)
			clusters = append(clusters, newCluster(c.Name, resource, endpoints))
		}
	}
	slices.SortFunc(clusters, func(a, b *Cluster) int { return cmp.Compare(a.Name, b.Name) })
	return clusters, someOf(errs)
}

const maxName = 1024

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// machines are all that are known.
type machines struct {
	byName    map[string]*sourceMachine
	byAddress map[netip.Addr]*sourceMachine
}

func newMachines(files []*sourceFile) (m machines, errs []error) {
	m = machines{byName: map[string]*sourceMachine{}, byAddress: map[netip.Addr]*sourceMachine{}}
	for _, f := range files {
		for i := range f.Machines {
			one := &f.Machines[i]
			refuse := func(format string, args ...any) {
				errs = append(errs, fmt.Errorf("%s: machine %q: %w", one.at, one.Name, fmt.Errorf(format, args...)))
			}
			if one.Name == "" {
				refuse("name: missing")
			}
			if before := m.byName[one.Name]; before != nil {
				refuse("is named at %s already", before.at)
				continue
			}
			m.byName[one.Name] = one
			ip, err := addressOf(one.Address)
			if err != nil {
				refuse("address: %q is no IP address", one.Address)
				continue
			}
			if before := m.byAddress[ip]; before != nil {
				refuse("address: %s is that of %q already, at %s", ip, before.Name, before.at)
				continue
			}
			m.byAddress[ip] = one
		}
	}
	return m, errs
}

// endpoints are those of a cluster.
func (m machines) endpoints(c *sourceCluster) (all []Endpoint, errs []error) {
	seen := map[netip.AddrPort]string{}
	for i := range c.Endpoints {
		from := &c.Endpoints[i]
		e, err := m.endpoint(from)
		if before, ok := seen[e.Address]; err == nil && ok {
			err = fmt.Errorf("is there already, at %s", before)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: cluster %q: endpoint %q: %w", from.at, c.Name, from.Address, err))
			continue
		}
		seen[e.Address] = from.at
		all = append(all, e)
	}
	return all, errs
}

func (m machines) endpoint(from *sourceEndpoint) (e Endpoint, err error) {
	if e.Address, err = netip.ParseAddrPort(from.Address); err != nil || e.Address.Port() == 0 {
		return e, fmt.Errorf("address: must be IP:port, such as 192.0.2.1:8080 or [2001:db8::1]:8080")
	}
	e.Address = netip.AddrPortFrom(e.Address.Addr().Unmap(), e.Address.Port())
	e.Weight = 1
	if from.Weight != nil {
		e.Weight = *from.Weight
	}
	if e.Weight == 0 || e.Weight > maxWeight {
		return e, fmt.Errorf("weight: must be 1 to %d, is %d", maxWeight, e.Weight)
	}
	machine := m.byAddress[e.Address.Addr()]
	if from.Machine != "" {
		if machine = m.byName[from.Machine]; machine == nil && len(m.byName) > 0 {
			return e, fmt.Errorf("machine: there is no %q: name it under machines, in this file or another one of sources", from.Machine)
		}
	}
	e.Machine, e.IDC, e.subjects = from.Machine, from.IDC, []string{endpointPrefix + e.Address.String()}
	if machine != nil {
		e.Machine = machine.Name
		if e.IDC != "" && machine.IDC != "" && e.IDC != machine.IDC {
			return e, fmt.Errorf("idc: %s, but its machine %s is in %s", e.IDC, machine.Name, machine.IDC)
		}
		e.IDC = cmp.Or(e.IDC, machine.IDC)
	}
	if e.Machine != "" {
		e.subjects = append(e.subjects, machinePrefix+e.Machine)
	}
	runs := map[string]string{}
	for key, value := range map[string]string{"workload": from.Workload, "app": from.App, "version": from.Version} {
		if value != "" {
			runs[key] = value
		}
	}
	return e, e.encode(runs)
}

// maxWeight keeps the sum of as many as there may be within 32 bits, as Envoy demands.
const maxWeight = 10_000
