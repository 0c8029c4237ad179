package probes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// knowing is an engine that knows targets and probes nothing.
func knowing(t *testing.T, targets ...Target) *engine {
	t.Helper()
	telemetry, err := newTelemetry(componenttest.NewNopTelemetrySettings().MeterProvider)
	require.NoError(t, err)
	e, err := newEngine(map[string]*Module{"tcp": {Prober: "tcp", Timeout: time.Second}}, surroundings{}, nil, telemetry)
	require.NoError(t, err)
	e.set(targets)
	return e
}

func (e *engine) told(t Target, at time.Time, r Result) {
	e.take([]outcome{{target: e.targets[t], at: at, Result: r}})
}

func well(took time.Duration) Result { return Result{OK: true, Took: took} }

func TestShownTargets(t *testing.T) {
	entry := Target{Module: "tcp", Target: "api.example.com:443", Address: "127.1.0.1:443", Subject: "idc/idc1/entry", Interval: time.Second}
	silent := Target{Module: "tcp", Target: "127.1.0.2:443", Interval: time.Second}
	e := knowing(t, entry, silent)
	e.gateway = "gw1"
	start := time.Unix(1700000000, 0).Truncate(time.Minute)
	for i := range 12 * 60 {
		r := well(time.Duration(i%60) * time.Millisecond)
		if i%60 == 7 {
			r = Result{Reason: "connection refused"}
		}
		e.told(entry, start.Add(time.Duration(i)*time.Second), r)
	}
	e.told(entry, start.Add(30*time.Second), well(time.Millisecond)) // of a minute that is forgotten
	down := start.Add(12 * time.Minute)
	e.told(entry, down, Result{Reason: "no answer after 400ms (tls)", Took: 400 * time.Millisecond})
	e.told(entry, down.Add(time.Second), Result{Err: errors.New("no file descriptor"), Took: time.Millisecond})
	all := e.shown([]Target{entry, silent, {Module: "gone"}}, down.Add(2*time.Second))
	require.Len(t, all.Targets, 2)
	s := all.Targets[0]
	require.Equal(t, "tcp api.example.com:443 127.1.0.1:443", s.Name)
	require.Equal(t, [...]string{"idc/idc1/entry", "idc1", "tcp", "tcp", "gw1"}, [...]string{s.Subject, s.IDC, s.Module, s.Prober, s.Observer})
	require.False(t, *s.Success)
	require.True(t, s.Since.Equal(down))
	require.Equal(t, "it could not be made: no file descriptor", s.Error)
	require.Len(t, s.Minutes, historyMinutes)
	first, last := s.Minutes[0], s.Minutes[historyMinutes-1]
	require.True(t, first.At.Equal(start.Add(3*time.Minute)), first.At)
	require.Equal(t, shownMinute{first.At, 59, 1, 30}, first)
	require.Equal(t, shownMinute{down.UTC(), 0, 2, 0}, last)

	require.Nil(t, all.Targets[1].Success)
	require.Empty(t, all.Targets[1].Minutes)

	// What is too old says nothing of now.
	require.Nil(t, e.shown([]Target{entry}, down.Add(time.Minute)).Targets[0].Success)
	text, err := json.Marshal(all)
	require.NoError(t, err)
	require.Contains(t, string(text), `"at":"2023-11-14T22:25:02.000Z"`)
}

func TestShownMachines(t *testing.T) {
	var targets []Target
	for i := range 300 {
		targets = append(targets, Target{Module: "tcp", Target: fmt.Sprintf("10.0.%d.%d:22", i/100, i%100), Subject: fmt.Sprintf("machine/m%03d", i), Interval: time.Second})
	}
	second := Target{Module: "tcp", Target: "10.0.0.0:80", Subject: "machine/m000", Interval: time.Second}
	e := knowing(t, append(targets, second)...)
	now := time.Unix(1700000000, 0)
	for i, target := range targets {
		switch {
		case i < 50:
			e.told(target, now, well(time.Millisecond))
		case i < 290:
			e.told(target, now.Add(time.Duration(i%2)*time.Millisecond), Result{Reason: "no reply within 500ms"})
		} // of the others nothing is known
	}
	e.told(second, now, Result{Reason: "refused"})
	machines := e.shown(nil, now.Add(time.Second)).Machines
	require.Equal(t, 300, machines.Total)
	require.Equal(t, 49, machines.Answering, "m000 has a probe that is not well")
	require.Len(t, machines.Down, machinesShown)
	require.Equal(t, shownMachine{"m051", now.Add(time.Millisecond).UTC(), "no reply within 500ms"}, machines.Down[0])
	require.Equal(t, "m000", machines.Down[120].Name)
}

func TestWordsAreFitToBeShown(t *testing.T) {
	f := func(reason, want string) {
		t.Helper()
		got := (&Result{Reason: reason}).words()
		require.Equal(t, want, got)
		require.True(t, utf8.ValidString(got))
	}
	f("", "")
	f("refused", "refused")
	f("said \xff\xfe", "said �")
	f(strings.Repeat("ä", 200), strings.Repeat("ä", 150)+"…")
	f(strings.Repeat("x", 299)+"ä", strings.Repeat("x", 299)+"…")
}

// hanging is a console that keeps what is hung into it.
type hanging struct {
	component.StartFunc
	component.ShutdownFunc
	*http.ServeMux
}

func TestProbesAreServed(t *testing.T) {
	console := hanging{ServeMux: http.NewServeMux()}
	f := NewFactory()
	for _, name := range []string{"", "fast", "odd{name"} { // there may be several
		set := receivertest.NewNopSettings(f.Type())
		set.ID = component.MustNewIDWithName("probes", name)
		r, err := f.CreateMetrics(t.Context(), set, f.CreateDefaultConfig(), new(consumertest.MetricsSink))
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context(), extensions{component.MustNewID("console"): console}))
		defer func() { require.NoError(t, r.Shutdown(context.Background())) }()
	}
	for _, path := range []string{"/api/v1/probes", "/api/v1/probes/fast"} {
		recorder := httptest.NewRecorder()
		console.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, http.StatusOK, recorder.Code)
		require.Contains(t, recorder.Body.String(), `"targets":[],"machines":{"total":0,"answering":0,"down":[]}`)
	}
}
