package failover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

// shutdownPatience is how long a disk may take at the end.
const shutdownPatience = 5 * time.Second

// mux is what failover needs of the console.
type mux interface {
	Handle(pattern string, handler http.Handler)
	// HandlePush asks for a token of at least this role; who is its name. It logs nothing: the audit's line of a change says more, and a dry run has none.
	HandlePush(role, pattern string, handler func(w http.ResponseWriter, r *http.Request, who string))
}

// failover is the extension `failover`.
type failover struct {
	cfg     *Config
	rules   Rules
	log     *zap.Logger
	metrics *metrics
	inbox   *inbox
	board   *board
	disk    disk
	clock   clock
	places  atomic.Pointer[places]

	events  *events
	keeper  *keeper
	loop    *loop
	shared  *sharing // nil: this gateway is alone
	readers *readers
	started time.Time

	began    context.Context // of the loop and of those who watch
	cancel   context.CancelFunc
	running  sync.WaitGroup
	watchers sync.WaitGroup
	closing  context.CancelFunc // of the keeper
}

func newFailover(cfg *Config, set component.TelemetrySettings) (*failover, error) {
	rules, err := cfg.rules()
	if err != nil {
		return nil, err
	}
	f := &failover{cfg: cfg, rules: rules, log: set.Logger, inbox: newInbox(), board: newBoard(), readers: newReaders(), disk: disk{writeWhole, appendAudit}}
	f.began, f.cancel = context.WithCancel(context.Background())
	f.metrics, err = newMetrics(set.MeterProvider, f.board)
	return f, err
}

// Start goes on from what the last gateway left. A disk that fails does not keep failover from its work, a directory that was never
// there to be written to does.
func (f *failover) Start(_ context.Context, host component.Host) error {
	now := time.Now()
	f.clock.began = now
	shared, err := newSharing(findMembers(host), f.rules, f.log, &f.clock)
	if err != nil {
		return err
	}
	unwritable := prepare(f.cfg.DataDirectory)
	if errors.Is(unwritable, fs.ErrPermission) || errors.Is(unwritable, syscall.ENOTDIR) || errors.Is(unwritable, fs.ErrExist) {
		return fmt.Errorf("failover: data_directory: %w", unwritable)
	}
	if unwritable != nil {
		f.log.Error("failover cannot write to its data directory: it goes on from memory", zap.Error(unwritable))
	}
	past, problem := loadState(f.cfg.DataDirectory, now)
	f.events = newEvents(readAudit(f.cfg.DataDirectory))
	f.keeper = newKeeper(f.disk, f.cfg.DataDirectory, f.log, f.metrics)
	site := ""
	if shared != nil {
		site = shared.site
	}
	f.shared = shared
	f.loop = &loop{
		rules: f.rules, log: f.log, metrics: f.metrics, inbox: f.inbox, commands: make(chan command), done: make(chan struct{}),
		board: f.board, events: f.events, keeper: f.keeper, judge: NewJudge(f.rules, site), share: &Share{}, places: &f.places,
		shared: shared,
	}
	f.started = now
	f.loop.begin(past, problem, now)
	if shared != nil {
		shared.channel = shared.members.AddState("failover", shared)
	}
	if err := f.metrics.begin(f.keeper, shared); err != nil {
		return err
	}
	for _, extension := range host.GetExtensions() {
		if console, ok := extension.(mux); ok {
			f.serve(console)
		}
	}
	keeping, closing := context.WithCancel(context.Background())
	f.closing = closing
	go f.keeper.run(keeping)
	f.running.Go(func() { f.loop.run(f.began) })
	return nil
}

// prepare tells whether the directory can be written to.
func prepare(directory string) error {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	probe := filepath.Join(directory, "writable"+newSuffix)
	return errors.Join(os.WriteFile(probe, nil, 0o600), os.Remove(probe))
}

// Shutdown leaves all that is known on disk, if that answers.
func (f *failover) Shutdown(context.Context) error {
	f.readers.close()
	f.cancel()
	f.running.Wait()
	f.watchers.Wait()
	f.metrics.end()
	if f.closing == nil {
		return nil
	}
	f.closing()
	select {
	case <-f.keeper.done:
		return nil
	case <-time.After(shutdownPatience):
		return fmt.Errorf("failover: %s does not answer: what changed last is not on disk", f.cfg.DataDirectory)
	}
}

// Observe takes evidence. It never waits, may be called concurrently, and does not keep the slice.
func (f *failover) Observe(evidence []probes.Evidence) {
	if dropped := f.inbox.put(evidence); dropped > 0 {
		f.metrics.evidenceDropped(dropped)
	}
}

// WatchServing calls apply with what is served now, before it returns, and then at each change: one call at a time, in the order of
// versions. One that is slow misses what was overtaken meanwhile, and hinders nobody else. After stop has returned apply is not called
// again; it must not be called by apply. Before Start nothing is known yet: apply is called as soon as something is.
func (f *failover) WatchServing(apply func(*xds.Serving)) (stop func()) {
	ctx, cancel := context.WithCancel(f.began)
	var seen uint64
	if now, _ := f.board.get(); now != nil {
		seen = now.decision.Serving.Version
		apply(&now.decision.Serving)
	}
	done := make(chan struct{})
	f.watchers.Go(func() {
		defer close(done)
		f.board.watch(ctx, seen, apply)
	})
	return func() {
		cancel()
		<-done
	}
}

// Ready implements extensioncapabilities.PipelineWatcher.
func (*failover) Ready() error { return nil }

// NotReady implements extensioncapabilities.PipelineWatcher. It comes before the console stops, which waits for its readers.
func (f *failover) NotReady() error {
	f.readers.close()
	return nil
}
