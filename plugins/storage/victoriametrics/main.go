// Command storage-victoriametrics is the storage plugin that keeps metrics in VictoriaMetrics, embedded in its
// own process. OTLP requests come in from the gateway; Prometheus's query API and vmui go out over HTTP.
//
// What it acknowledges survives the death of the process: see package victoria.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmstorage"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
	"github.com/lockkeeper/lockkeeper/sdk"
)

// replayWait is how long open waits for the replay of the write-ahead log, so that after a crash the first
// query usually sees everything. A longer replay goes on behind.
const replayWait = 500 * time.Millisecond

func main() { sdk.ServeStorage(open) }

// open does everything that can fail before VictoriaMetrics starts, because VictoriaMetrics cannot be
// started twice in a process and ends the process when it cannot open its data.
func open(ctx context.Context, c sdk.Config) (_ *sdk.Storage, err error) {
	var opened []io.Closer
	defer func() {
		for _, o := range opened {
			if err != nil {
				_ = o.Close()
			}
		}
	}()
	settings, err := victoria.Decode(c, defaults())
	if err != nil {
		return nil, err
	}
	lock, err := victoria.LockDirectory(settings.DataDirectory, "VictoriaMetrics")
	if err != nil {
		return nil, err
	}
	opened = append(opened, lock)
	log, err := victoria.OpenLog(filepath.Join(settings.DataDirectory, "wal"))
	if err != nil {
		return nil, fmt.Errorf("data_directory %q: %w", settings.DataDirectory, err)
	}
	listener, err := net.Listen("tcp", cmp.Or(c.Listen, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("query API: %w", err)
	}
	opened = append(opened, listener)
	if err := startVictoriaMetrics(settings); err != nil {
		return nil, err
	}
	store := newStore(log)
	store.WaitReplay(ctx, replayWait)
	web := victoria.Serve(listener, api(store))

	base := "http://" + listener.Addr().String()
	return &sdk.Storage{
		WriteMetrics: func(_ context.Context, m sdk.Metrics) error { return store.Write(victoria.OTLP, m.Bytes()) },
		Health:       health,
		Stop: func(ctx context.Context) error {
			web.Stop(ctx)
			store.Stop(stopVictoriaMetrics)
			return lock.Close()
		},
		QueryURL:       base,
		RemoteWriteURL: base + "/api/v1/write",
	}, nil
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
