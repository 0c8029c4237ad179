// Command storage-victorialogs is the storage plugin that keeps log records in VictoriaLogs, embedded in its own process.
// OTLP requests come in from the gateway; LogsQL and VictoriaLogs's own page go out over HTTP.
//
// What it acknowledges survives the death of the process: see package victoria.
package main

import (
	"context"
	"errors"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
	"github.com/lockkeeper/lockkeeper/sdk"
)

var errReadOnly = errors.New("the disk that holds data_directory is nearly full: VictoriaLogs takes no records until space is freed")

func main() { sdk.ServeStorage(open) }

func open(ctx context.Context, c sdk.Config) (*sdk.Storage, error) {
	running, err := victoria.Open(ctx, c, defaults(), database(), api)
	if err != nil {
		return nil, err
	}
	return &sdk.Storage{
		WriteLogs: func(_ context.Context, l sdk.Logs) error { return running.Write(victoria.OTLP, l.Bytes()) },
		Health:    func(context.Context) error { return writable() },
		Stop:      running.Stop,
		QueryURL:  running.URL,
	}, nil
}

func database() victoria.Database {
	var rows *ingest
	var written disk
	return victoria.Database{
		Name: "VictoriaLogs",
		Start: func(s victoria.Settings) error {
			rows = newIngest(s)
			written.directory, written.days = s.DataDirectory, rows.days
			return startVictoriaLogs(s)
		},
		Stop:    stopVictoriaLogs,
		Insert:  func(kind victoria.Kind, body []byte) error { return rows.insert(kind, body) },
		Show:    show,
		Flushed: written.flushed,
	}
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
