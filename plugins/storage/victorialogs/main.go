// Command storage-victorialogs is the storage plugin that keeps log records in VictoriaLogs, embedded in its own process.
// OTLP requests come in from the gateway; LogsQL and VictoriaLogs's own page go out over HTTP.
//
// What it acknowledges survives the death of the process: see package victoria.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
	"github.com/lockkeeper/lockkeeper/sdk"
)

// replayWait is how long open waits for the replay of the write-ahead log, so that after a crash the first
// query usually sees everything. A longer replay goes on behind.
const replayWait = 500 * time.Millisecond

var errReadOnly = errors.New("the disk that holds data_directory is nearly full: VictoriaLogs takes no records until space is freed")

func main() { sdk.ServeStorage(open) }

// open does everything that can fail before VictoriaLogs starts, because VictoriaLogs cannot be started twice in a process
// and ends the process when it cannot open its data.
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
	lock, err := victoria.LockDirectory(settings.DataDirectory, "VictoriaLogs")
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
	if err := startVictoriaLogs(settings); err != nil {
		return nil, err
	}
	ingest := newIngest(settings)
	disk := &disk{directory: settings.DataDirectory, days: ingest.days}
	store := victoria.NewStore(victoria.Database{Name: "VictoriaLogs", Insert: ingest.insert, Show: show, Flushed: disk.flushed}, log)
	store.WaitReplay(ctx, replayWait)
	web := victoria.Serve(listener, api())

	return &sdk.Storage{
		WriteLogs: func(_ context.Context, l sdk.Logs) error { return store.Write(victoria.OTLP, l.Bytes()) },
		Health:    func(context.Context) error { return writable() },
		Stop: func(ctx context.Context) error {
			web.Stop(ctx)
			store.Stop(stopVictoriaLogs)
			return lock.Close()
		},
		QueryURL: "http://" + listener.Addr().String(),
	}, nil
}

func defaults() victoria.Settings {
	return victoria.Settings{Retention: "7d", MemoryPercent: 10}
}

// writable is an error while VictoriaLogs takes no records because its disk is nearly full.
func writable() error {
	if new(vlstorage.Storage).CanWriteData() != nil {
		return errReadOnly
	}
	return nil
}
