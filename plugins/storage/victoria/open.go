package victoria

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// replayWait is how long Open waits for the replay of the write-ahead log, so that after a crash the first
// query usually sees everything. A longer replay goes on behind.
const replayWait = 500 * time.Millisecond

// Running is a database that takes requests and answers queries.
type Running struct {
	*Store
	URL string // of the query API

	web  *web
	lock *os.File
}

// Open starts the database and serves what api makes. It does everything that can fail before that, because the database cannot be
// started twice in a process and ends the process when it cannot open its data.
func Open(ctx context.Context, c sdk.Config, defaults Settings, database Database, api func(*Store) *http.ServeMux) (_ *Running, err error) {
	var opened []io.Closer
	defer func() {
		for _, o := range opened {
			if err != nil {
				_ = o.Close()
			}
		}
	}()
	settings, err := Decode(c, defaults)
	if err != nil {
		return nil, err
	}
	lock, err := lockDirectory(settings.DataDirectory, database.Name)
	if err != nil {
		return nil, err
	}
	opened = append(opened, lock)
	log, err := OpenLog(filepath.Join(settings.DataDirectory, "wal"))
	if err != nil {
		return nil, fmt.Errorf("data_directory %q: %w", settings.DataDirectory, err)
	}
	listener, err := net.Listen("tcp", cmp.Or(c.Listen, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("query API: %w", err)
	}
	opened = append(opened, listener)
	if err := database.Start(settings); err != nil {
		return nil, err
	}
	store := newStore(database, log)
	store.waitReplay(ctx, replayWait)
	return &Running{Store: store, URL: "http://" + listener.Addr().String(), web: serve(listener, api(store)), lock: lock}, nil
}

// Stop lets requests under way end for a moment, and closes the database. No write may be under way.
func (r *Running) Stop(ctx context.Context) error {
	r.web.stop(ctx)
	r.Store.stop()
	return r.lock.Close()
}
