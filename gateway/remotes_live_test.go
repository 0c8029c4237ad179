package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// Two real gateways in a cluster are asked as one: a change is told to one and holds on both, also on one that was away.
func TestTwoGatewaysAsOne(t *testing.T) {
	berlin := newFailoverGateway(t)
	tokyo := &failoverGateway{console: freeAddress(t), dns: freeAddress(t), data: t.TempDir(), idcs: berlin.idcs, machines: berlin.machines}
	tokyo.file = writeFile(t, tokyo.config())
	join := []string{freeAddress(t), freeAddress(t)}
	start := func(g *failoverGateway, name, endpoint string) *process {
		return g.start(t, "--config", writeFile(t, fmt.Sprintf(`
extensions:
  failover: {sites: {berlin: idc1, tokyo: idc2}}
  cluster: {name: %s, site: %s, endpoint: %q, join: [%q, %q]}
service: {extensions: [plugins, alerting, failover, dns, console, cluster]}
`, name, name, endpoint, join[0], join[1])))
	}
	start(berlin, "berlin", join[0])
	other := start(tokyo, "tokyo", join[1])
	ask := func(command string) (code int, text string) {
		t.Helper()
		args := append(strings.Fields(command), "--url", berlin.url(""), "--url", tokyo.url(""), "--token", operatorToken)
		code, out, problems := call(t, args...)
		return code, out + problems
	}
	f := func(code int, command string, want ...string) {
		t.Helper()
		got, text := ask(command)
		if got != code {
			t.Errorf("%s: exit %d, want %d\n%s", command, got, code, text)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in\n%s", command, w, text)
			}
		}
	}
	agree := func() {
		t.Helper()
		last := ""
		wait(t, "both to agree", func() bool {
			code, text := ask("failover list")
			if text != last {
				t.Log(text)
				last = text
			}
			return code == 0 && strings.Contains(text, "2 gateways agree.\n")
		})
	}
	entry := func(g *failoverGateway, idc1, idc2 uint32) {
		t.Helper()
		wait(t, "weights", func() bool { s := g.state(t).Serving.IDCs; return s["idc1"].Entry == idc1 && s["idc2"].Entry == idc2 })
	}
	both := func(idc1, idc2 uint32) { t.Helper(); entry(berlin, idc1, idc2); entry(tokyo, idc1, idc2) }
	label := func(g *failoverGateway, name string) string { return name + " (" + g.console + ")" }
	done := "Done on 2 of 2 gateways: " + label(berlin, "berlin") + ", " + label(tokyo, "tokyo") + "\n"

	wait(t, "both to know of each other", func() bool { code, text := ask("cluster"); return code == 0 && strings.Count(text, "alive") == 2 })
	agree()
	f(0, "failover eject idc/idc1/entry --for 1h --why flood", done)
	both(0, 10_000)
	f(0, "failover release idc/idc1/entry", done)
	both(5000, 5000)
	f(0, "shift apply --to idc2=60 --for 1h", done)
	both(4000, 6000)
	f(0, "shift apply --to idc2=70 --steps 65 --each 30m --for 1h --replace", done)
	both(3500, 6500)
	f(0, "shift abort", done)
	f(0, "shift abort", "back to base weights", done)
	both(5000, 5000)
	agree()

	other.signal(t, syscall.SIGKILL)
	other.exit(t)
	f(1, "failover eject machine/m1 --for 1h", "no gateway at "+tokyo.url(""), "nothing was changed: 1 of 2 gateways would take it; --partial changes those")
	f(0, "failover eject machine/m1 --for 1h --partial", "Done on 1 of 2 gateways: "+label(berlin, "berlin"))
	f(1, "failover list", "no gateway at "+tokyo.url(""), "machine/m1  eject")
	start(tokyo, "tokyo", join[1])
	agree()
	f(0, "failover release machine/m1", done)
	f(0, "failover events --kind hold", label(berlin, "berlin")+": ", "machine/m1: released")
}
