package envoy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// kept is the key of what coverage keeps over a restart.
const kept = "nodes"

// keeper keeps what coverage knows over a restart of the gateway, so that what Envoy wrote in between shows as lost.
type keeper struct {
	client   storage.Client // nil: nothing is kept
	coverage *coverage
	failed   atomic.Int64 // times that it could not be read or written
	logger   *zap.Logger
}

// open reads what was kept. Without an id nothing is kept.
func (k *keeper) open(ctx context.Context, host component.Host, id *component.ID, owner component.ID, now time.Time) error {
	if id == nil {
		return nil
	}
	extension, ok := host.GetExtensions()[*id].(storage.Extension)
	if !ok {
		return fmt.Errorf("receivers::%s::storage: no storage extension %q: list it under extensions and service::extensions", owner, id)
	}
	client, err := extension.GetClient(ctx, component.KindReceiver, owner, "coverage")
	if err != nil {
		return fmt.Errorf("receivers::%s::storage: %w", owner, err)
	}
	k.client = client
	state, err := client.Get(ctx, kept)
	if err == nil {
		err = k.coverage.restore(state, now)
	}
	if err != nil { // no reason not to start: coverage begins anew
		k.failed.Add(1)
		k.logger.Warn("cannot read what coverage kept; it begins anew", zap.Error(err))
	}
	return nil
}

// close lets go of the storage.
func (k *keeper) close(ctx context.Context) error {
	if k.client == nil {
		return nil
	}
	client := k.client
	k.client = nil
	return client.Close(ctx)
}

// flush runs a flush and, when all of it was handed on, keeps what had been received before it.
func (k *keeper) flush(ctx context.Context, now time.Time, flush func() error) error {
	state, err := k.coverage.checkpoint(now)
	if err != nil {
		return err
	}
	if err := flush(); err != nil || k.client == nil {
		return err
	}
	if err := k.client.Set(ctx, kept, state); err != nil {
		k.failed.Add(1)
		k.logger.Warn("cannot keep what coverage knows", zap.Error(err))
	}
	return nil
}

// checkpoint forgets the idle nodes, and writes down what is known of the others.
func (c *coverage) checkpoint(now time.Time) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, n := range c.nodes {
		if now.UnixMilli()-n.Samples[len(n.Samples)-1].At > c.idle.Milliseconds() {
			delete(c.nodes, id)
			continue
		}
		n.Received = c.count(id, n)
	}
	return json.Marshal(c.nodes)
}

// restore begins with what checkpoint wrote. What makes no sense is left out.
func (c *coverage) restore(state []byte, now time.Time) error {
	if len(state) == 0 {
		return nil
	}
	nodes := map[string]*covered{}
	if err := json.Unmarshal(state, &nodes); err != nil {
		return fmt.Errorf("what coverage kept: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, n := range nodes {
		if n == nil || len(n.Samples) == 0 || len(c.nodes) >= maxCovered {
			continue
		}
		last := n.Samples[len(n.Samples)-1]
		rising := slices.IsSortedFunc(n.Samples, func(x, y pair) int { return int(x.At - y.At) })
		if !rising || last.At > now.UnixMilli() || now.UnixMilli()-last.At > c.idle.Milliseconds() || last.Received > n.Received {
			continue
		}
		n.offset = n.Received
		c.nodes[id] = n
	}
	return nil
}
