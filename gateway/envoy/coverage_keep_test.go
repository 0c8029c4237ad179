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
)

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
