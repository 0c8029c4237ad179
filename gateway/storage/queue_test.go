package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// What was accepted while the plugin was down is delivered after a restart of the gateway.
func TestQueueOnDiskSurvivesARestart(t *testing.T) {
	var mu sync.Mutex
	up := false
	refused := make(chan struct{}, 1000)
	stored := make(chan string, 1000)
	conn := servePlugin(t, sdk.Storage{WriteMetrics: func(_ context.Context, m sdk.Metrics) error {
		mu.Lock()
		defer mu.Unlock()
		if !up {
			refused <- struct{}{}
			return errors.New("not now")
		}
		data, err := m.Decode()
		stored <- data.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Name()
		return err
	}})
	directory := t.TempDir()
	run := func(use func(consume func(name string))) {
		t.Helper()
		factory := filestorage.NewFactory()
		cfg := factory.CreateDefaultConfig().(*filestorage.Config)
		cfg.Directory = directory
		disk, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
		require.NoError(t, err)
		h := host{conn: conn, others: map[component.ID]component.Component{component.MustNewID("file_storage"): disk}}
		require.NoError(t, disk.Start(t.Context(), h))

		own, err := load(t, `{plugin: x, sending_queue: {storage: file_storage}}`)
		require.NoError(t, err)
		e := create(t, own, h)
		use(func(name string) { require.NoError(t, e.ConsumeMetrics(t.Context(), someMetrics(name))) })
		require.NoError(t, e.Shutdown(t.Context()))
		require.NoError(t, disk.Shutdown(t.Context()))
	}

	var want, got []string
	run(func(consume func(string)) {
		for i := range 20 {
			want = append(want, fmt.Sprintf("m%d", i))
			consume(want[i])
		}
		<-refused
	})
	mu.Lock()
	up = true
	mu.Unlock()
	run(func(func(string)) {
		for range want {
			got = append(got, <-stored)
		}
	})
	require.ElementsMatch(t, want, got)
	require.Empty(t, stored)
}
