package failover

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

// A story is told as far as it is known, in the order in which it happened.
func TestDiagnosisInWords(t *testing.T) {
	at := func(text string) time.Time {
		t.Helper()
		when, err := time.Parse("2006-01-02 15:04:05.000", text)
		require.NoError(t, err)
		return when
	}
	var got strings.Builder
	f := func(d Diagnosis) {
		t.Helper()
		text, err := json.Marshal(d)
		require.NoError(t, err)
		fmt.Fprintf(&got, "%s\n  %s\n", d, text)
	}
	out := at("2026-01-01 12:00:03.345")
	// by a person, of a subject that nobody knows more of
	f(Diagnosis{Out: out})
	// a machine, all of it
	f(Diagnosis{
		Lost: at("2026-01-01 12:00:01.234"), Failing: at("2026-01-01 12:00:01.000"), Tries: 140, Failures: 123, Flags: map[string]uint64{"UT": 3, "UF": 120},
		Out: out, Endpoints: 60, Clusters: 50, Last: at("2026-01-01 12:00:03.401"), Answers: at("2026-01-01 12:05:10.000"), Back: at("2026-01-01 12:05:40.050"),
	})
	// an endpoint that drains, over midnight
	f(Diagnosis{
		Failing: at("2025-12-31 23:59:58.000"), Tries: 10, Failures: 5, Flags: map[string]uint64{"5xx": 5}, Drained: true,
		Out: at("2026-01-01 00:00:00.000"), Endpoints: 1, Clusters: 1, Back: at("2026-01-02 00:00:30.000"),
	})
	golden := filepath.Join("testdata", "diagnosis.golden")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

// What is seen adds to what is known, and takes nothing away but that it answers when it does not any more.
func TestDiagnosisGoesOn(t *testing.T) {
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	flags := map[string]uint64{"UF": 9}
	d := Diagnosis{Out: at(10)}.with(sighting{lost: at(7), fails: true, trouble: trouble{from: at(6), failures: 9, tries: 10, flags: flags}, began: at(9)})
	want := Diagnosis{Lost: at(7), Failing: at(6), Tries: 10, Failures: 9, Flags: flags, Out: at(10), Last: at(9)}
	require.Equal(t, want, d)
	// nothing is known any more
	require.Equal(t, want, d.with(sighting{}))
	// probes that were well before it was taken out by hand say nothing
	require.Equal(t, want, d.with(sighting{answers: at(1)}))
	// later words
	d = d.with(sighting{lost: at(20), answers: at(15), trouble: trouble{from: at(12), failures: 3, tries: 3}, began: at(11)})
	want.Last, want.Answers = at(11), at(15)
	require.Equal(t, want, d)
	want.Answers = time.Time{}
	require.Equal(t, want, d.with(sighting{fails: true, answers: at(16)}))
}

// The trouble of an endpoint begins anew when it was well for some time, and what is no trouble does not count.
func TestTrouble(t *testing.T) {
	var x trouble
	see := func(second int, failures uint64) {
		x.observe(&probes.Evidence{At: start.Add(time.Duration(second) * time.Second), Traffic: &probes.Traffic{
			Over: time.Second, Requests: 100, Failures: failures, Flags: map[string]uint64{"UF": failures},
		}})
	}
	see(1, 50)
	see(2, 9)
	see(15, 10)
	require.Equal(t, trouble{from: start, last: start.Add(15 * time.Second), tries: 200, failures: 60, flags: map[string]uint64{"UF": 60}}, x)
	see(40, 100)
	require.Equal(t, trouble{from: start.Add(39 * time.Second), last: start.Add(40 * time.Second), tries: 100, failures: 100, flags: map[string]uint64{"UF": 100}}, x)
}

// A machine dies and comes back: two lines tell its story, the alert tells it in between, and a restart does not forget it.
func TestDiagnosisOfMachine(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		clusters, machines := map[string][]string{}, map[string][]string{"machine/a": {endpointName(0)}, "machine/b": {endpointName(1)}}
		for i := range 50 {
			name, endpoint := fmt.Sprint("c", i), fmt.Sprintf("endpoint/10.1.0.%d:80", i)
			if i == 0 {
				name = "web" // as its callers call it
			}
			machines["machine/b"] = append(machines["machine/b"], endpoint)
			clusters[name], clusters[name+" machines"] = []string{endpoint, endpointName(0), endpointName(1)}, []string{"machine/a", "machine/b"}
			clusters[fmt.Sprint("else", i)] = []string{endpointName(0)}
		}
		g := launch(t, acting(directory))
		defer func() { g.stop() }()
		g.Place(clusters, machines)
		g.call(10, [2]uint64{0, 0}, true)
		died := time.Now()
		g.call(2, [2]uint64{0, 100}, false)
		require.Contains(t, g.serving().Out, "machine/b")
		var first Diagnosis
		diagnoses := g.diagnoses(t, "machine/b")
		require.Len(t, diagnoses, 1)
		first = *diagnoses[0].Diagnosis
		require.True(t, first.Lost.Equal(died), "%v, not %v", first.Lost, died)
		require.True(t, first.Back.IsZero())
		require.Equal(t, [2]int{51, 50}, [2]int{first.Endpoints, first.Clusters})
		require.Positive(t, first.Flags["UF"])
		require.Equal(t, diagnoses[0].What, first.String())
		require.Contains(t, diagnoses[0].Why, "timeout")
		description := g.alertOf("MachineEjected").Annotations["description"]
		require.Contains(t, description, "machine/b: ")
		require.Contains(t, description, "removed at "+first.Out.UTC().Format("15:04:05.0")+" (51 endpoints of 50 clusters)")
		require.Contains(t, description, "callers fail from "+first.Failing.UTC().Format("15:04:05.0")+" (UF), ")
		for range 10 { // who goes on to call it makes no news
			g.call(1, [2]uint64{0, 100}, false)
			require.Equal(t, description, g.alertOf("MachineEjected").Annotations["description"])
		}
		last1 := time.Now().Add(-time.Second)
		g.see(60, "machine/a", "!machine/b")
		require.Contains(t, g.alertOf("MachineEjected").Annotations["description"], "last request at "+last1.UTC().Format("15:04:05.0"))
		g.stop()

		g = launch(t, acting(directory))
		g.Place(clusters, machines)
		g.see(2, "machine/a", "!machine/b")
		lives := time.Now()
		g.see(20, "machine/a", "machine/b")
		require.Contains(t, g.alertOf("MachineEjected").Annotations["description"], "answers from "+lives.UTC().Format("15:04:05.0"))
		g.see(40, "machine/a", "machine/b")
		require.NotContains(t, g.serving().Out, "machine/b")
		diagnoses = g.diagnoses(t, "machine/b")
		require.Len(t, diagnoses, 2)
		last := *diagnoses[1].Diagnosis
		require.True(t, last.Answers.Equal(lives), last.String())
		require.True(t, last.Out.Equal(first.Out))
		require.True(t, last.Back.After(last.Answers))
		require.True(t, last.Last.Equal(died.Add(time.Second)), last.String())
		require.Equal(t, first.Flags, last.Flags)
		t.Log(diagnoses[1].What)
	})
}

// A gateway whose clock is behind tells all of a story by the clock that gateways share.
func TestDiagnosisBySharedClock(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		cfg := acting(directory)
		cfg.Sites = threeSites()
		g := launchAmong(t, cfg, (&network{}).join("b1", "berlin"))
		defer g.stop()
		g.shared.ledger.clock.offset.Store(int64(40 * time.Second))
		g.Place(nil, map[string][]string{"machine/a": {endpointName(0)}, "machine/b": {endpointName(1)}})
		g.call(10, [2]uint64{0, 0}, true)
		g.call(3, [2]uint64{0, 100}, false)
		g.see(10, "machine/a", "!machine/b")
		g.see(40, "machine/a", "machine/b")
		story := g.diagnoses(t, "machine/b")[1].Diagnosis
		t.Log(story)
		require.Positive(t, story.Failures)
		require.Less(t, story.Out.Sub(story.Lost), 5*time.Second)
		require.Less(t, story.Out.Sub(story.Failing), 5*time.Second)
		require.Less(t, story.Last.Sub(story.Out).Abs(), 5*time.Second)
		require.True(t, story.Answers.After(story.Out) && story.Answers.Before(story.Back))
	})
}

// diagnoses are the stories in the audit.
func (g *gateway) diagnoses(t *testing.T, subject string) (list []Event) {
	t.Helper()
	synctest.Wait()
	answer := g.ask("GET", "/api/v1/events?kind=diagnosis&subject="+subject, "")
	for line := range strings.Lines(answer.Body.String()) {
		var e Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.NotNil(t, e.Diagnosis)
		list = append(list, e)
	}
	return list
}

// What was out before the gateway could tell of it has a story, too, as far as it is known.
func TestStoriesResume(t *testing.T) {
	var s stories
	told := Diagnosis{Lost: start, Out: start.Add(time.Second), Clusters: 3}
	s.resume(map[string]xds.Out{"machine/a": {Since: start}, "machine/b": {Since: start, Drain: true}, "machine/c": {Since: start}}, []Event{
		{Subject: "machine/a", Diagnosis: &told}, {Subject: "machine/c", Diagnosis: &Diagnosis{Out: start, Back: start}}, {Subject: "machine/d", Diagnosis: &told}, {Subject: "machine/a"},
	})
	require.Equal(t, map[string]Diagnosis{"machine/a": told, "machine/b": {Out: start, Drained: true}, "machine/c": {Out: start}}, *s.now.Load())
}
