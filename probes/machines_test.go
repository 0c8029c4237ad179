package probes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// machinesIn reads a file's text.
func machinesIn(t *testing.T, text string) ([]Target, error) {
	t.Helper()
	c := defaultConfig()
	c.Machines.File = "m.yaml"
	c.Modules = map[string]Module{"agent": defaultModule("http"), "port": defaultModule("tcp")}
	modules, err := c.usedModules()
	require.NoError(t, err)
	f, err := parseMachines("m.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	return f.targets(c, modules)
}

func TestMachines(t *testing.T) {
	want := []Target{
		{Module: "icmp", Target: "127.1.0.11", Subject: "machine/m11", IDC: "idc1", Interval: time.Second},
		{Module: "icmp", Target: "2001:db8::1", Subject: "machine/m12", Interval: time.Second},
		{Module: "port", Target: "m12:22", Address: "2001:db8::1", Subject: "machine/m12", Interval: time.Second},
		{Module: "agent", Target: "http://m12:9100/", Address: "2001:db8::1", Subject: "machine/m12", Interval: time.Second},
	}
	f := func(text string, want []Target) {
		t.Helper()
		got, err := machinesIn(t, text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f(`
machines:
  - {name: m11, address: 127.1.0.11, idc: idc1}
  - name: m12
    address: "2001:db8::1"
    probes:
      - {module: port, target: "m12:22"}
      - {module: agent, target: "http://m12:9100/"}
`, want)
	// JSON, as programs write it
	f("{\n\t\"machines\": [\n\t\t{\"name\": \"m11\", \"address\": \"127.1.0.11\", \"idc\": \"idc1\"}\n\t]\n}\n", want[:1])
	// none, and meant so
	f("machines: []", []Target{})
}

func TestMachinesExampleOfREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```yaml\nmachines:")
	require.True(t, found)
	example, _, _ := strings.Cut(rest, "```")
	targets, err := machinesIn(t, "machines:"+example)
	require.NoError(t, err)
	require.Len(t, targets, 3)
}

func TestBadMachines(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := machinesIn(t, text)
		require.Error(t, err)
		require.Equal(t, strings.Join(want, "\n"), err.Error())
	}
	const none = "m.yaml: names no machines, which may be a mistake: write machines: [] where there are to be none"
	f("", none)
	f("# soon\n", none)
	f("machines:\n", none)
	f("- {name: a, address: 10.0.0.1}", "m.yaml:1: the list of machines must stand under the key machines")
	f("machines: []\n---\nmachines: []", "m.yaml: holds more than one document")
	f("machines: [", "m.yaml:1: did not find expected node content")
	f("machines:\n- {name: a, adress: 10.0.0.1}\n- {nam: b}", `m.yaml:2: unknown key "adress"`, `m.yaml:3: unknown key "nam"`)
	f("machines: []\nversion: 1", `m.yaml:2: unknown key "version"`)
	f("machines: 7", "m.yaml:1: cannot unmarshal !!int `7` into []probes.machine")
	// all at once
	f(`
machines:
- {name: a, address: 10.0.0.1}
- {name: a, address: 10.0.0.2}
- {name: "b/c", address: 10.0.0.3, idc: "d e"}
- {name: d, address: d.example.com}
- {name: e, address: "10.0.0.5:22"}
- {name: f, address: 10.0.0.6, probes: [{module: ssh, target: "f:22"}, {module: port, target: f}]}
- {name: g, address: 10.0.0.7, probes: [{module: port, target: "g:22"}, {module: port, target: "g:22"}]}
`,
		`m.yaml:4: machine "a" is named in line 3 already`,
		`m.yaml:5: machine "b/c": name: may have letters, digits, -, . and _`,
		`m.yaml:5: machine "b/c": idc: "d e" may have letters, digits, -, . and _`,
		`m.yaml:6: machine "d": address: "d.example.com" is no IP address`,
		`m.yaml:7: machine "e": address: "10.0.0.5:22" is no IP address: a ping resolves no names, so put the address to ping under address`,
		`m.yaml:8: machine "f": probes: there is no module "ssh" in the configuration: use one of agent, icmp, port`,
		`m.yaml:8: machine "f": probes: "f" is not host:port`,
		`m.yaml:9: machine "g": probes: port g:22 is there twice`,
	)
	var many strings.Builder
	many.WriteString("machines:\n")
	for range 1000 {
		many.WriteString("- {name: a, address: 10.0.0.1}\n")
	}
	_, err := machinesIn(t, many.String())
	require.ErrorContains(t, err, "and 979 mistakes more")
	require.Equal(t, 21, strings.Count(err.Error(), "\n")+1)
}

// watching follows a file in fake time: f gets the names of the machines at work.
func watching(t *testing.T, name string, f func(at *[]string, set *componenttest.Telemetry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		set := componenttest.NewTelemetry()
		c := defaultConfig()
		c.Machines.File = name
		var at []string
		watch, err := watchMachines(t.Context(), c, set.NewTelemetrySettings(), func(targets []Target) {
			at = nil
			for _, target := range targets {
				at = append(at, strings.TrimPrefix(target.Subject, "machine/"))
			}
		})
		require.NoError(t, err)
		go watch()
		f(&at, set)
	})
}

func counted(t *testing.T, set *componenttest.Telemetry, name string) (n int64) {
	t.Helper()
	found, err := set.GetMetric(name)
	require.NoError(t, err)
	switch data := found.Data.(type) {
	case metricdata.Sum[int64]:
		n = data.DataPoints[0].Value
	case metricdata.Gauge[int64]:
		n = data.DataPoints[0].Value
	}
	return n
}

func write(t *testing.T, name string, machines ...string) {
	t.Helper()
	text := "machines:\n"
	for i, m := range machines {
		text += fmt.Sprintf("- {name: %s, address: 10.0.0.%d}\n", m, i+1)
	}
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

func pass(d time.Duration) {
	time.Sleep(d) // in fake time
	synctest.Wait()
}

func TestMachinesChange(t *testing.T) {
	name := filepath.Join(t.TempDir(), "machines.yaml")
	write(t, name, "a", "b")
	watching(t, name, func(at *[]string, set *componenttest.Telemetry) {
		require.Equal(t, []string{"a", "b"}, *at)
		require.EqualValues(t, 2, counted(t, set, "lockkeeper_probe_machines"))
		require.Zero(t, counted(t, set, "lockkeeper_probe_machines_reload_errors_total"))

		write(t, name, "a", "c", "d")
		pass(machinesEvery)
		require.Equal(t, []string{"a", "c", "d"}, *at)
		require.EqualValues(t, 3, counted(t, set, "lockkeeper_probe_machines"))

		// what is wrong is said once, and changes nothing
		bad := func(errors int64, f func()) {
			t.Helper()
			f()
			pass(5 * machinesEvery)
			require.Equal(t, []string{"a", "c", "d"}, *at)
			require.EqualValues(t, 3, counted(t, set, "lockkeeper_probe_machines"))
			require.Equal(t, errors, counted(t, set, "lockkeeper_probe_machines_reload_errors_total"))
		}
		bad(1, func() { write(t, name, "a", "a") })
		bad(2, func() { require.NoError(t, os.Truncate(name, 0)) })
		bad(3, func() { require.NoError(t, os.Remove(name)) })
		bad(4, func() { require.NoError(t, os.Mkdir(name, 0o700)) })
		require.NoError(t, os.Remove(name))

		write(t, name, "e")
		pass(2 * machinesEvery)
		require.Equal(t, []string{"e"}, *at)
		require.NoError(t, os.WriteFile(name, []byte("machines: []"), 0o600))
		pass(machinesEvery)
		require.Empty(t, *at)
		require.Zero(t, counted(t, set, "lockkeeper_probe_machines"))
	})
}

// Kubernetes mounts a ConfigMap as links to a link to a folder, and changes the middle one.
func TestMachinesBehindLinks(t *testing.T) {
	dir := t.TempDir()
	for i, m := range []string{"a", "b"} {
		folder := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.Mkdir(folder, 0o700))
		write(t, filepath.Join(folder, "machines.yaml"), m)
	}
	name := filepath.Join(dir, "machines.yaml")
	require.NoError(t, os.Symlink("0", filepath.Join(dir, "data")))
	require.NoError(t, os.Symlink("data/machines.yaml", name))
	watching(t, name, func(at *[]string, _ *componenttest.Telemetry) {
		require.Equal(t, []string{"a"}, *at)
		require.NoError(t, os.Symlink("1", filepath.Join(dir, "next")))
		require.NoError(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "data")))
		pass(machinesEvery)
		require.Equal(t, []string{"b"}, *at)
	})
}

// A bad file is a mistake of the configuration, and an error of the start.
func TestMachinesAtTheStart(t *testing.T) {
	c := defaultConfig()
	c.Machines.File = filepath.Join(t.TempDir(), "machines.yaml")
	f := func(want string) {
		t.Helper()
		_, err := watchMachines(t.Context(), c, componenttest.NewNopTelemetrySettings(), nil)
		require.ErrorContains(t, err, "machines::file: "+want)
		require.ErrorContains(t, c.Validate(), "machines::file: "+want)
	}
	f("open " + c.Machines.File)
	require.ErrorIs(t, c.Validate(), os.ErrNotExist)
	write(t, c.Machines.File, "a")
	require.NoError(t, c.Validate())
	write(t, c.Machines.File, "a", "a")
	f(c.Machines.File + `:3: machine "a" is named in line 2 already`)
	require.NoError(t, os.WriteFile(c.Machines.File, make([]byte, machinesMost+1), 0o600))
	f(c.Machines.File + ": has more than 16777216 bytes")
	// A module that is none is told where it stands, and not for each machine.
	write(t, c.Machines.File, "a")
	c.Modules = map[string]Module{"odd": {Prober: "odd"}}
	c.Machines.Module = "odd"
	require.NoError(t, c.Validate())
	require.ErrorContains(t, c.Modules["odd"].Validate(), `prober: "odd" is none of`)
}

func FuzzMachines(f *testing.F) {
	for _, seed := range []string{
		"machines:\n- {name: a, address: 10.0.0.1, idc: idc1}", `{"machines": [{"name": "a", "address": "::1", "probes": [{"module": "tcp", "target": "a:1"}]}]}`,
		"machines: []", "machines:", "x: &x [{name: a}]\nmachines: *x", "---\n---\n", "machines: [*a]", "machines: {a: b}",
	} {
		f.Add(seed)
	}
	c := defaultConfig()
	modules := map[string]*Module{}
	for name := range kinds() {
		m := defaultModule(name)
		modules[name] = &m
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parseMachines("m.yaml", []byte(text))
		if err != nil {
			return
		}
		targets, err := file.targets(c, modules)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, len(targets), len(file.Machines))
		for _, target := range targets {
			require.NoError(t, target.Validate())
		}
	})
}
