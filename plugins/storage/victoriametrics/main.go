// Command storage-victoriametrics is the storage plugin that keeps metrics in VictoriaMetrics, embedded in its
// own process. OTLP requests come in from the gateway; Prometheus's query API and vmui go out over HTTP.
//
// What it acknowledges survives the death of the process: see wal.go and store.go.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmstorage"

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
	settings, err := decode(c)
	if err != nil {
		return nil, err
	}
	lock, err := lockDirectory(settings.DataDirectory)
	if err != nil {
		return nil, err
	}
	opened = append(opened, lock)
	log, leftover, err := openWAL(filepath.Join(settings.DataDirectory, "wal"))
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
	store := newStore(log, leftover)
	store.waitReplay(ctx, replayWait)
	web := serveHTTP(listener, store)

	base := "http://" + listener.Addr().String()
	return &sdk.Storage{
		WriteMetrics: func(_ context.Context, m sdk.Metrics) error { return store.write(recordOTLP, m.Bytes()) },
		Health:       health,
		Stop: func(ctx context.Context) error {
			web.stop(ctx)
			store.stop(stopVictoriaMetrics)
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

func info(format string, args ...any) { fmt.Fprintf(os.Stderr, "[INFO] "+format+"\n", args...) }
func warn(format string, args ...any) { fmt.Fprintf(os.Stderr, "[WARN] "+format+"\n", args...) }
