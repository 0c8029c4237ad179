// Command alerting-rules is the alerting plugin that evaluates Prometheus's rule files by Prometheus's own rule manager.
// The storage's query API and rule files come in; alerts go out to the gateway, what recording rules and alerts write goes
// out to the storage's remote write. It keeps nothing itself: what it has to remember over a restart is in the storage.
package main

import (
	"context"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() { sdk.ServeAlerting(open) }

func open(_ context.Context, c sdk.Config) (*sdk.Alerting, error) {
	s, rules, err := decode(c)
	if err != nil {
		return nil, err
	}
	p := newPlugin(c.Name, s, rules)
	return &sdk.Alerting{Evaluate: p.evaluate, Health: p.health}, nil
}
