package main

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestParseTry(t *testing.T) {
	f := func(line string, want try, wantOK bool) {
		t.Helper()
		if got, ok := parseTry(line); ok != wantOK || ok && (!got.at.Equal(want.at) || got.to != want.to || got.ok != want.ok) {
			t.Errorf("%q: %v, %v", line, got, ok)
		}
	}
	at := time.Unix(1795297905, 42_000)
	f("TRY 1795297905.000042 10.9.0.11:9080 200 -", try{at, netip.MustParseAddr("10.9.0.11"), true}, true)
	f("TRY 1795297905.000042 - 503 UH", try{at: at}, true)
	f("TRY 1795297905 10.9.0.11:9080 200 -", try{}, false)
	f("TRY", try{}, false)
	f("[2026-11-21 21:51:44.999][31689][warning][main] There is no configured limit", try{}, false)
}

// A log is read as it grows, also in the middle of a line; what is known is what the Envoy that is behind has told.
func TestTriesAreFollowed(t *testing.T) {
	machine := netip.MustParseAddr("10.9.0.11")
	file := func(text string) *tryLog {
		l := &tryLog{file: filepath.Join(t.TempDir(), "log")}
		grow(t, l, text)
		return l
	}
	one, two := file("TRY 100.000000 10.9.0.11:9080 200 -\nTRY 101.0000"), file("TRY 103.000000 10.9.0.12:9080 200 -\n")
	f := &fleet{tries: []*tryLog{one, two}}
	check := func(last, known int64) {
		t.Helper()
		if got, err := f.lastTry(machine, time.Unix(100, 0), time.Unix(102, 0)); err != nil || got.Unix() != last || f.known().Unix() != known {
			t.Errorf("%v, known until %v, %v", got, f.known(), err)
		}
	}
	check(100, 100)
	grow(t, one, "00 10.9.0.11:9080 0 UF\nTRY 102.000000 10.9.0.11:9080 200 -\n")
	check(101, 102)
	if n := f.spoiled(netip.MustParseAddr("10.9.0.12"), time.Unix(100, 0), time.Unix(102, 0)); n != 1 {
		t.Errorf("%d failed elsewhere", n)
	}
	if first, err := f.firstTry(machine, time.Unix(102, 0)); err != nil || first.Unix() != 102 {
		t.Errorf("%v, %v", first, err)
	}
}

func grow(t *testing.T, l *tryLog, text string) {
	t.Helper()
	file, err := os.OpenFile(l.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestSuffered(t *testing.T) {
	f := func(last, dead []float64, want bool) {
		t.Helper()
		if got := (suffered{Last: last, Dead: dead}).stopped(); got != want {
			t.Errorf("%v of %v: stopped %v", last, dead, got)
		}
	}
	f([]float64{0.9, 1}, []float64{2.1, 2.2}, true)
	f([]float64{0.9, 2}, []float64{2.1, 2.2}, false)
}

func TestEnvoyAcceptsTheFleetsWithoutGateway(t *testing.T) {
	envoy := envoyBinary(t)
	for _, f := range fleets()[1:] {
		config, err := (&machineStage{}).bootstrap(f, f.envoys[0])
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "envoy.json")
		if err := os.WriteFile(file, config, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), envoy, "-c", file, "--mode", "validate", "--disable-hot-restart", "-l", "error").CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f.name, err, out)
		}
	}
}
