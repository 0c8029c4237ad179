// Command storage-victoriametrics is the storage plugin that keeps metrics in VictoriaMetrics, embedded in its
// own process. OTLP requests come in from the gateway; Prometheus's query API and vmui go out over HTTP.
//
// What it acknowledges survives the death of the process: see package victoria.
package main

import (
	"context"

	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmstorage"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() { sdk.ServeStorage(open) }

func open(ctx context.Context, c sdk.Config) (*sdk.Storage, error) {
	running, err := victoria.Open(ctx, c, defaults(), database(), api)
	if err != nil {
		return nil, err
	}
	return &sdk.Storage{
		WriteMetrics:   func(_ context.Context, m sdk.Metrics) error { return running.Write(victoria.OTLP, m.Bytes()) },
		Health:         health,
		Stop:           running.Stop,
		QueryURL:       running.URL,
		RemoteWriteURL: running.URL + "/api/v1/write",
	}, nil
}

func database() victoria.Database {
	return victoria.Database{
		Name: "VictoriaMetrics", Start: startVictoriaMetrics, Stop: stopVictoriaMetrics,
		Insert: new(ingest).insert, Flushed: flushed,
		Show: func() { vmstorage.DebugFlush() }, // which Start makes
	}
}

// health is an error while VictoriaMetrics refuses writes because its disk is nearly full.
func health(context.Context) error {
	if vmstorage.VMInsertAPI.IsReadOnly() {
		return errReadOnly
	}
	return nil
}

func defaults() victoria.Settings {
	return victoria.Settings{Retention: "30d", MemoryPercent: 20}
}
