package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension"

	"github.com/lockkeeper/lockkeeper/gateway/cluster"
	"github.com/lockkeeper/lockkeeper/gateway/failover"
	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

// observer is what failover is for who probes, and who acts.
type observer interface {
	extension.Extension
	Observe([]probes.Evidence)
	WatchServing(func(*xds.Serving)) func()
}

// judging is a gateway's failover and cluster, in this process.
type judging struct {
	observer
	cluster extension.Extension

	mu     sync.Mutex
	served []xds.Serving
}

// extensions is the Collector of one gateway.
type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// judge starts a gateway at a site.
func judge(t *testing.T, directory, site, endpoint string, join []string) *judging {
	t.Helper()
	ctx := context.Background()
	c := cluster.NewFactory().CreateDefaultConfig().(*cluster.Config)
	c.Name, c.Site, c.Endpoint, c.Join, c.Keys = "gateway-"+site, site, endpoint, join, []configopaque.String{"QUFBQUFBQUFBQUFBQUFBQQ=="}
	require.NoError(t, c.Validate())
	f := failover.NewFactory().CreateDefaultConfig().(*failover.Config)
	f.Mode, f.Profile, f.DataDirectory = "act", "fast", directory
	f.IDCs = map[string]failover.IDCConfig{"idc1": {Weight: 50}, "idc2": {Weight: 50}}
	f.Sites = map[string]string{"berlin": "idc1", "tokyo": "idc2", "outside": ""}
	require.NoError(t, f.Validate())

	j := &judging{}
	host := extensions{}
	create := func(factory extension.Factory, cfg component.Config) extension.Extension {
		set := extension.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
		made, err := factory.Create(ctx, set, cfg)
		require.NoError(t, err)
		host[set.ID] = made
		return made
	}
	j.cluster = create(cluster.NewFactory(), c)
	j.observer = create(failover.NewFactory(), f).(observer)
	order := []extension.Extension{j.cluster, j.observer}
	if site == "outside" { // in whatever order
		slices.Reverse(order)
	}
	for _, e := range order {
		require.NoError(t, e.Start(ctx, host))
	}
	stop := j.WatchServing(func(s *xds.Serving) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.served = append(j.served, *s)
	})
	t.Cleanup(func() {
		stop()
		require.NoError(t, j.observer.Shutdown(ctx))
		require.NoError(t, j.cluster.Shutdown(ctx))
	})
	return j
}

// last is what it serves; zero: nothing yet.
func (j *judging) last() (last xds.Serving) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.served) > 0 {
		last = j.served[len(j.served)-1]
	}
	return last
}

// see has it probe both entries, and machines, all the time; who is dead by its sight may be changed.
func (j *judging) see(ctx context.Context, dead *sync.Map) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var evidence []probes.Evidence
		for subject, idc := range map[string]string{"idc/idc1/entry": "idc1", "idc/idc2/entry": "idc2", "machine/a": "idc1", "machine/b": "idc1", "machine/c": "idc1", "machine/d": "idc1"} {
			_, fails := dead.Load(subject)
			evidence = append(evidence, probes.Evidence{Subject: subject, IDC: idc, Probe: "p", At: time.Now(), Next: patience, OK: !fails, Reason: "refused"})
		}
		j.Observe(evidence)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Three gateways at three sites, over real sockets: all serve the same by the same version, also one that starts later.
func TestThreeSites(t *testing.T) {
	directory := t.TempDir()
	addresses := []string{freeAddress(t), freeAddress(t), freeAddress(t)}
	dead := [3]*sync.Map{{}, {}, {}}
	var all []*judging
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	begin := func(i int, site string) {
		j := judge(t, filepath.Join(directory, fmt.Sprint(site, len(all))), site, addresses[i], addresses)
		all = append(all, j)
		running.Go(func() { j.see(ctx, dead[i]) })
	}
	same := func(what string, is func(xds.Serving) bool) {
		t.Helper()
		began := time.Now()
		require.Eventually(t, func() bool {
			one := all[0].last()
			return is(one) && !slices.ContainsFunc(all, func(j *judging) bool {
				other := j.last()
				return other.Version != one.Version || !maps.Equal(other.IDCs, one.IDCs) || !maps.Equal(other.Out, one.Out)
			})
		}, patience, 10*time.Millisecond, what)
		t.Logf("%s: after %v, version %d", what, time.Since(began).Round(time.Millisecond), all[0].last().Version)
	}
	begin(0, "berlin")
	begin(1, "tokyo")
	begin(2, "outside")
	same("all begin with base weights", func(s xds.Serving) bool { return s.IDCs["idc1"].Entry == xds.Whole/2 })
	for _, d := range dead[1:] {
		d.Store("idc/idc1/entry", true)
	}
	same("two of three see the entry of idc1 dead", func(s xds.Serving) bool { return s.IDCs["idc1"].Entry == 0 })
	for _, d := range dead {
		d.Store("machine/a", true)
	}
	same("all see a machine dead", func(s xds.Serving) bool { _, out := s.Out["machine/a"]; return out && len(s.Out) == 1 })
	for _, j := range all {
		j.mu.Lock()
		require.True(t, slices.IsSortedFunc(j.served, func(a, b xds.Serving) int { return int(int64(a.Version) - int64(b.Version)) }))
		j.mu.Unlock()
	}
}
