package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serialsRest is how long a gateway is left alone before it is killed: a serial, which counts tenths of seconds, is ahead of the clock by the changes that come
// within one, and a restart may be faster than that.
const serialsRest = time.Second

// A gateway that is killed goes on where it was: with what was taken out, held and shifted. One whose state cannot be read takes nothing out.
func TestFailoverOutlivesItsGateway(t *testing.T) {
	g := newFailoverGateway(t)
	p := g.start(t)
	wait(t, "all probed", func() bool { s := g.state(t); return len(s.Subjects) == 4 && !slices.ContainsFunc(s.Subjects, ill) })
	g.idcs[0].die()
	g.machines[0].die()
	wait(t, "what died is out", func() bool {
		s := g.state(t)
		return s.subject("machine/m1").Out && s.subject("idc/idc1/entry").Out && s.Serving.IDCs["idc1"].Entry == 0
	})
	g.does(t, "shift", "apply", "--to", "idc2=60", "--for", "1h")
	g.does(t, "failover", "hold", "machine/m2", "--for", "1h", "--why", "test") // it ends when all so far is on disk
	before, serial := g.state(t), g.serial(t)
	time.Sleep(serialsRest)

	// Nothing is probed after the restart, so that nothing changes what was loaded.
	blind := "yaml:receivers::probes::targets: []"
	p.signal(t, syscall.SIGKILL)
	p.exit(t)
	p = g.start(t, "--config", blind)
	for range 20 {
		if ips := addressesOf(g.dns, liveName); !slices.Equal(ips, []string{g.idcs[1].ip()}) {
			t.Fatalf("answered after the restart: %v", ips)
		}
	}
	after := g.state(t)
	for _, name := range []string{"machine/m1", "idc/idc1/entry"} {
		if s := after.subject(name); !s.Out || !s.Provisional {
			t.Errorf("%s after the restart: %+v", name, s)
		}
	}
	if len(after.Holds) != 1 || after.Holds[0].Subject != "machine/m2" || after.Holds[0].By != "oncall" || !after.Holds[0].Until.Round(0).Equal(before.Holds[0].Until) {
		t.Errorf("holds were %+v, are %+v", before.Holds, after.Holds)
	}
	if after.Shift.ID != before.Shift.ID || after.Shift.Entry["idc2"] != 6000 {
		t.Errorf("the shift was %+v, is %+v", before.Shift, after.Shift)
	}
	if now := g.serial(t); after.Serving.Version <= before.Serving.Version || now <= serial {
		t.Errorf("version from %d to %d, serial from %d to %d", before.Serving.Version, after.Serving.Version, serial, now)
	}
	if list := g.does(t, "failover", "list"); !strings.Contains(list, "yes (as before the restart)") {
		t.Error(list)
	}

	// The state is damaged.
	before, serial = after, g.serial(t)
	time.Sleep(serialsRest)
	p.signal(t, syscall.SIGKILL)
	p.exit(t)
	file := filepath.Join(g.data, "failover", "state.json")
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	g.start(t, "--config", blind)
	after = g.state(t)
	if slices.ContainsFunc(after.Subjects, func(s failoverSubject) bool { return s.Out }) || len(after.Holds) > 0 || after.Shift.ID != "" ||
		after.Serving.IDCs["idc1"].Entry != 5000 || !strings.Contains(after.State, "state.json.unreadable-") {
		t.Errorf("after a state that cannot be read: %+v", after)
	}
	if aside, _ := filepath.Glob(file + ".unreadable-*"); len(aside) != 1 {
		t.Errorf("put aside: %q", aside)
	}
	if now := g.serial(t); after.Serving.Version <= before.Serving.Version || now <= serial {
		t.Errorf("version from %d to %d, serial from %d to %d", before.Serving.Version, after.Serving.Version, serial, now)
	}
	g.watch(t).answered(t, g.idcs[0], g.idcs[1])
	g.alerted(t, "FailoverStateBroken")
}

func ill(s failoverSubject) bool { return s.Health != "healthy" }
