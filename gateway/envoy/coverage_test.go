package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// observed is a node as a gateway sees it, with a clock of its own.
type observed struct {
	*coverage
	now       time.Time
	http, tcp uint64 // received
}

func newObserved() *observed {
	o := &observed{now: time.Unix(1700000000, 0)}
	o.coverage = newCoverage(func(string) (uint64, uint64) { return o.http, o.tcp }, 15*time.Minute, o.now)
	return o
}

// tick is a sample 5 seconds later, when Envoy has written so much in all and the gateway has received so much.
func (o *observed) tick(written, received uint64) {
	o.now = o.now.Add(5 * time.Second)
	o.http = received
	o.sample(stats.Sample{Node: "n", At: o.now, Flushed: written, HasFlushed: true})
}

func (o *observed) want(t *testing.T, want float64) {
	t.Helper()
	got, known := o.nodes["n"].ratio()
	require.True(t, known)
	require.InDelta(t, want, got, 1e-9)
}

func TestCoverageOfATrustyStream(t *testing.T) {
	o := newObserved()
	o.tick(1000, 1000)
	o.tick(2000, 2000)
	_, known := o.nodes["n"].ratio()
	require.False(t, known, "two samples prove nothing")
	for i := uint64(3); i < 50; i++ {
		o.tick(i*1000, i*1000)
		o.want(t, 1)
	}
}

// What is on its way at the moment of a sample is not lost, and what overtakes the stats does not make up for a loss.
func TestCoverageDoesNotWobble(t *testing.T) {
	o := newObserved()
	for i := uint64(1); i < 100; i++ {
		noise := []uint64{100, 100, 100, 99, 100, 101, 100}[i%7]
		o.tick(i*10+100, i*10+noise)
		if i >= 3 {
			o.want(t, 1)
		}
	}
	o.tick(1500, 1499) // its last entry is under way
	o.tick(1500, 1500)
	o.want(t, 1)
}

func TestCoverageShowsALossForAMinute(t *testing.T) {
	o := newObserved()
	var written, received uint64
	for range 20 {
		written, received = written+100, received+100
		o.tick(written, received)
	}
	written += 100 // nothing of it arrives
	o.tick(written, received)
	o.want(t, 1) // it may be on its way
	for i := range 8 {
		written, received = written+100, received+100
		o.tick(written, received)
		ratio, _ := o.nodes["n"].ratio()
		require.Less(t, ratio, 0.95, i)
		require.Greater(t, ratio, 0.90, i)
	}
	for range 8 {
		written, received = written+100, received+100
		o.tick(written, received)
	}
	o.want(t, 1)
	require.LessOrEqual(t, len(o.nodes["n"].Samples), 15)
}

func TestCoverageOfNothing(t *testing.T) {
	o := newObserved()
	for i := range uint64(5) {
		o.tick(100*i, 0)
	}
	o.want(t, 0)
	require.True(t, o.nodes["n"].silent())
	for range 30 {
		o.tick(400, 0) // it does not write any more
	}
	o.want(t, 1)
	require.False(t, o.nodes["n"].silent())
}

func TestCoverageAfterARestartOfEnvoy(t *testing.T) {
	o := newObserved()
	for i := range uint64(5) {
		o.tick(100*i, 50*i)
	}
	o.want(t, 0.5)
	o.tick(10, 210) // its counter began anew
	_, known := o.nodes["n"].ratio()
	require.False(t, known)
	o.tick(20, 220)
	o.tick(30, 230)
	o.want(t, 1)
}

// Envoys before 1.40 tell only what they wrote for HTTP, before they buffer it.
func TestCoverageByLogsWritten(t *testing.T) {
	o := newObserved()
	for i := uint64(1); i < 40; i++ {
		o.now = o.now.Add(5 * time.Second)
		o.http, o.tcp = i*500-[]uint64{0, 30, 99, 60}[i%4], i*70 // up to a second's entries are in Envoy's buffer
		o.sample(stats.Sample{Node: "n", At: o.now, Written: i * 500, HasWritten: true})
		if i >= 3 {
			o.want(t, 1)
		}
	}
	// Flushed comes to light: samples begin anew, TCP counts.
	base := o.http + o.tcp
	for i := range uint64(3) {
		o.now = o.now.Add(5 * time.Second)
		o.http = base + i*10
		o.sample(stats.Sample{Node: "n", At: o.now, Written: 1, HasWritten: true, Flushed: 5000 + i*20, HasFlushed: true})
	}
	o.want(t, 0.5)
	o.sample(stats.Sample{Node: "n", At: o.now, Written: 1e9, HasWritten: true}) // a part of a batch
	o.want(t, 0.5)
}

// A node that the aggregator forgot counts from 0 again; what it had counted is not forgotten here.
func TestCoverageOfAForgottenNode(t *testing.T) {
	o := newObserved()
	o.tick(100, 100)
	o.tick(200, 200)
	o.tick(300, 0)
	o.tick(400, 100)
	require.Equal(t, uint64(300), o.nodes["n"].Samples[len(o.nodes["n"].Samples)-1].Received)
}

func TestCoverageIsBounded(t *testing.T) {
	o := newObserved()
	for i := range maxCovered + 5 {
		o.sample(stats.Sample{Node: fmt.Sprint(i), At: o.now, HasFlushed: true})
	}
	o.sample(stats.Sample{Node: "of no use", At: o.now})
	require.Len(t, o.nodes, maxCovered)
	require.EqualValues(t, 5, o.refused())
	_, err := o.checkpoint(o.now.Add(16 * time.Minute))
	require.NoError(t, err)
	require.Empty(t, o.nodes, "idle nodes are forgotten")
}

// A gateway is away for three seconds: what Envoy wrote meanwhile is lost, and so is what the gateway had received but not
// handed on when it was killed.
func TestCoverageOverARestartOfTheGateway(t *testing.T) {
	o := newObserved()
	var written uint64
	for range 6 {
		written += 500
		o.tick(written, written)
	}
	state, err := o.checkpoint(o.now)
	require.NoError(t, err)
	written += 200 // received, but the gateway is killed before the next flush
	after := newObserved()
	after.now = o.now
	require.NoError(t, after.restore(state, after.now))
	written += 300 // lost on the way
	for i := range uint64(4) {
		written += 500
		after.tick(written, 500*(i+1))
	}
	after.want(t, 1-500.0/float64(written-500))
}

func TestCoverageRestoresOnlyWhatMakesSense(t *testing.T) {
	o := newObserved()
	f := func(state string, nodes int) {
		t.Helper()
		c := newCoverage(o.received, time.Minute, o.now)
		if err := c.restore([]byte(state), o.now); err != nil {
			require.Negative(t, nodes, err)
		}
		require.Len(t, c.nodes, max(0, nodes))
	}
	at := o.now.UnixMilli() - 1000
	f("", 0)
	f("garbage", -1)
	f(`{"n": null, "m": {}}`, 0)
	f(fmt.Sprintf(`{"n": {"flushed": true, "received": 5, "samples": [{"at": %d, "w": 5, "r": 5}]}}`, at), 1)
	// It has been away for longer than the idle time.
	f(fmt.Sprintf(`{"n": {"received": 5, "samples": [{"at": %d, "w": 5, "r": 5}]}}`, at-100_000), 0)
	// From the future.
	f(fmt.Sprintf(`{"n": {"received": 5, "samples": [{"at": %d, "w": 5, "r": 5}]}}`, at+100_000), 0)
	// More received in a sample than in all.
	f(fmt.Sprintf(`{"n": {"received": 4, "samples": [{"at": %d, "w": 5, "r": 5}]}}`, at), 0)
	// Out of order.
	f(fmt.Sprintf(`{"n": {"received": 5, "samples": [{"at": %d, "w": 5, "r": 5}, {"at": %d, "w": 5, "r": 5}]}}`, at, at-1), 0)
}

func FuzzCoverageRestore(f *testing.F) {
	o := newObserved()
	o.tick(1, 1)
	state, err := o.checkpoint(o.now)
	require.NoError(f, err)
	f.Add(state)
	f.Fuzz(func(t *testing.T, state []byte) {
		o := newObserved()
		if o.restore(state, o.now) != nil {
			return
		}
		for i := range uint64(4) {
			o.tick(i*10, i)
		}
		for _, n := range o.nodes {
			if ratio, _ := n.ratio(); !(ratio >= 0 && ratio <= 1) {
				t.Errorf("ratio %v of %s", ratio, state)
			}
		}
		kept, err := o.checkpoint(o.now)
		if err != nil || !json.Valid(kept) {
			t.Errorf("%s: %v", kept, err)
		}
	})
}

func TestTelemetryLost(t *testing.T) {
	began := time.Unix(1700000000, 0)
	now := began.Add(time.Hour)
	compared := func(written, received uint64) *covered { // so much at each of the last samples
		n := &covered{Flushed: true}
		for i := range uint64(8) {
			n.add(pair{At: now.Add(time.Duration(i)*5*time.Second - 40*time.Second).UnixMilli(), Written: i * written, Received: i * received})
		}
		return n
	}
	streams := func(n int, ended time.Duration) *mesh.Source { return &mesh.Source{Streams: n, Ended: now.Add(-ended)} }
	came := func(ago time.Duration) *stats.NodeStatus {
		return &stats.NodeStatus{ID: "n", Streams: 1, Last: now.Add(-ago), Interval: 5 * time.Second}
	}
	const absent = "absent"
	f := func(what string, als *mesh.Source, n *stats.NodeStatus, c *covered, wantALS, wantStats, wantCoverage string) {
		t.Helper()
		sources, nodes := map[string]mesh.Source{}, []stats.NodeStatus{}
		if als != nil {
			sources["n"] = *als
		}
		if n != nil {
			nodes = append(nodes, *n)
		}
		all := newCoverage(nil, time.Hour, began)
		if c != nil {
			all.nodes["n"] = c
		}
		values := points(all.judge(sources, nodes, now))
		for what2, want := range map[string]string{"als": wantALS, "stats": wantStats, "coverage": wantCoverage} {
			got := absent
			if v, ok := values[nodeSeries{metricLost, "n", "", what2}]; ok {
				got = fmt.Sprint(v)
			}
			require.Equal(t, want, got, "%s: %s", what, what2)
		}
	}
	f("all is well", streams(2, 0), came(time.Second), compared(10, 10), "0", "0", "0")
	f("idle is well, too", streams(2, 0), came(time.Second), compared(0, 0), "0", "0", "0")
	f("idle, the access-log stream not opened again since the gateway's restart", nil, came(time.Second), compared(0, 0), "0", "0", "0")
	f("a fifth is lost", streams(1, 0), came(time.Second), compared(10, 8), "0", "0", "1")
	f("open but silent streams while Envoy writes", streams(2, 0), came(time.Second), compared(10, 0), "1", "0", "1")
	f("Envoy writes, and no stream is there", nil, came(time.Second), compared(10, 0), "1", "0", "1")
	f("the stats lack what coverage needs", streams(1, 0), came(time.Second), nil, "0", "0", absent)
	f("they lack it, and the access-log stream has gone", streams(0, time.Minute), came(time.Second), nil, "1", "0", absent)
	f("it has only just gone: the stats may be about to go", streams(0, 6*time.Second), came(time.Second), nil, "0", "0", absent)
	f("never an access log, and nothing that says there should be", nil, came(time.Second), nil, absent, "0", absent)
	f("no stats ever", streams(1, 0), nil, nil, "0", absent, absent)
	f("the stats have gone silent", streams(1, 0), came(16*time.Second), compared(10, 10), "0", "1", absent)
	f("the proxy has ended", streams(0, 20*time.Second), came(20*time.Second), compared(10, 10), absent, absent, absent)
	f("the proxy has just ended", streams(0, 0), came(5*time.Second), compared(10, 10), "0", "0", "0")
	f("no stats since the gateway's restart", streams(1, 0), nil, compared(10, 10), "0", "1", absent)
	began = now.Add(-10 * time.Second)
	f("it was just now", streams(1, 0), nil, compared(10, 10), "0", "0", absent)
	slow := came(2 * time.Minute)
	slow.Interval = time.Minute
	f("stats once a minute", streams(1, 0), slow, nil, "0", "0", absent)
}

// disk is a storage extension in memory.
type disk struct {
	storage.Client
	state map[string][]byte
	err   error
}

func (d *disk) Start(context.Context, component.Host) error { return nil }
func (d *disk) Shutdown(context.Context) error              { return nil }
func (d *disk) Close(context.Context) error                 { return nil }

func (d *disk) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return d, nil
}
func (d *disk) Get(_ context.Context, key string) ([]byte, error) { return d.state[key], d.err }

func (d *disk) Set(_ context.Context, key string, value []byte) error {
	if d.err == nil {
		d.state[key] = value
	}
	return d.err
}

type hostWith map[component.ID]component.Component

func (h hostWith) GetExtensions() map[component.ID]component.Component { return h }

func TestKeeperKeepsOnlyWhatWasHandedOn(t *testing.T) {
	o := newObserved()
	id := component.MustNewID("file_storage")
	d := &disk{state: map[string][]byte{}}
	k := &keeper{coverage: o.coverage, logger: zap.NewNop()}
	open := func(host hostWith) error { return k.open(t.Context(), host, &id, component.MustNewID("envoy"), o.now) }
	require.ErrorContains(t, open(hostWith{}), `receivers::envoy::storage: no storage extension "file_storage"`)
	require.NoError(t, open(hostWith{id: d}))

	o.tick(10, 10)
	refused := errors.New("queue is full")
	require.ErrorIs(t, k.flush(t.Context(), o.now, func() error { return refused }), refused)
	require.Empty(t, d.state)
	require.NoError(t, k.flush(t.Context(), o.now, func() error { o.http = 99; return nil }))
	require.Contains(t, string(d.state[kept]), `"received":10,`, "what came during the flush may not be in it")

	d.err = errors.New("disk is full")
	require.NoError(t, k.flush(t.Context(), o.now, func() error { return nil }), "the flush itself was well")
	require.NoError(t, open(hostWith{id: d}), "coverage begins anew")
	require.EqualValues(t, 2, k.failed.Load())
	require.NoError(t, k.close(t.Context()))
}
