package main

import (
	"slices"
	"strings"
	"testing"
)

// All commands, asked of a real gateway by people with and without rights.
func TestFailoverByHand(t *testing.T) {
	g := newFailoverGateway(t)
	g.start(t)
	wait(t, "all probed", func() bool { s := g.state(t); return len(s.Subjects) == 4 && !slices.ContainsFunc(s.Subjects, ill) })
	f := func(code int, token, command string, want ...string) {
		t.Helper()
		got, stdout, stderr := g.command(t, token, strings.Fields(command)...)
		if got != code || code != 0 && strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, want %d\n%s%s", command, got, code, stdout, stderr)
		}
		for _, text := range want {
			if !strings.Contains(stdout+stderr, text) {
				t.Errorf("%s: no %q in\n%s%s", command, text, stdout, stderr)
			}
		}
	}
	only := func(which ...*site) {
		t.Helper()
		wait(t, "the answers", func() bool {
			seen := map[string]bool{}
			for range 10 {
				for _, ip := range addressesOf(g.dns, liveName) {
					seen[ip] = true
				}
			}
			return len(seen) == len(which) && !slices.ContainsFunc(which, func(s *site) bool { return !seen[s.ip()] })
		})
	}
	one, two := g.idcs[0], g.idcs[1]

	// Without rights nothing changes.
	for _, change := range []string{
		"failover eject machine/m1 --for 1h", "failover hold machine/m1 --for 1h", "failover restore --all --for 1h", "failover release machine/m1",
		"shift plan --to idc2=1 --for 1h", "shift apply --to idc2=1 --for 1h", "shift abort",
	} {
		f(1, "", change, "error: ", "token")
		f(1, "wrong-0123456789abcdef", change, "error: ", "token")
		f(1, viewerToken, change, "error: ", "operator")
	}
	f(1, operatorToken, "failover eject machine/m1 --for 25h", "error: ", "admin")
	only(one, two)
	f(0, "", "failover list", "50 %", "Nothing is unhealthy, out or held.")

	// Holds.
	f(1, operatorToken, "failover eject machine/m3 --for 1h", "machine/m1")
	f(1, operatorToken, "failover release machine/m1", "no hold")
	f(0, operatorToken, "failover eject idc/idc1/entry --for 1h --why flood", "idc/idc1/entry: eject until ", "by oncall")
	only(two)
	f(0, "", "explain "+strings.TrimSuffix(liveName, "."), "of idc2 only", "taken out by oncall", "flood")
	f(0, adminToken, "failover eject machine/m1 --for 25h", "by boss")
	f(0, "", "failover list machine/", "eject", "boss", "yes")
	f(0, operatorToken, "failover restore machine/m1 --for 1h", "machine/m1: restore until ")
	f(0, operatorToken, "failover hold machine/m2 --for 1h", "machine/m2: hold until ")
	f(0, operatorToken, "failover release idc/idc1/entry", "released (it was eject by oncall")
	f(0, operatorToken, "failover release --all", "machine/m1: released", "machine/m2: released")
	only(one, two)
	f(0, "", "failover events --kind hold", "by boss", "flood")

	// Shifts.
	f(1, operatorToken, "shift abort", "no shift is under way")
	f(0, operatorToken, "shift plan --to idc2=100 --for 1h", "100 %")
	f(0, operatorToken, "shift apply --to idc2=100 --for 1h", "has begun")
	only(two)
	f(0, "", "shift status", "100 %", "oncall")
	f(1, operatorToken, "shift apply --to idc2=1 --for 1h", "is under way", "--replace")
	f(0, operatorToken, "shift abort --why enough", "has ended")
	only(one, two)
	f(0, "", "failover events --kind shift", "by oncall", "enough")

	// What asks no gateway.
	alone := func(code int, want string, args ...string) {
		t.Helper()
		if got, stdout, stderr := call(t, args...); got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q: exit %d, want %d and %q\n%s%s", args, got, code, want, stdout, stderr)
		}
	}
	const page = "http://api.example.com/healthz"
	alone(0, "ok: "+page, "probe", "run", "entry", page, "--address", one.address, "--timeout", "20s", "--config", g.file)
	one.die()
	alone(1, "connection refused", "probe", "run", "entry", page, "--address", one.address, "--config", g.file)
	alone(0, "idc-dies-fast", "drill")
	alone(0, "idc/idc1/entry", "drill", "idc-dies-fast")
}
