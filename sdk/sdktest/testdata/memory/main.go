// Command memory is a storage plugin that counts what it is given.
package main

import (
	"context"
	"sync/atomic"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() { sdk.ServeStorage(open) }

func open(_ context.Context, c sdk.Config) (*sdk.Storage, error) {
	var settings struct {
		Limit int64 `yaml:"limit"`
	}
	if err := c.Decode(&settings); err != nil {
		return nil, err
	}
	var points atomic.Int64
	return &sdk.Storage{
		WriteMetrics: func(_ context.Context, m sdk.Metrics) error {
			metrics, err := m.Decode()
			if err != nil {
				return err
			}
			points.Add(int64(metrics.DataPointCount()))
			return nil
		},
		WriteLogs: func(_ context.Context, l sdk.Logs) error {
			_, err := l.Decode()
			return err
		},
	}, nil
}
