package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const (
	answerWithin = 30 * time.Second // for one call
	endWithin    = 10 * time.Second // for a process to end by itself
	settleWithin = 30 * time.Second // for a call that is repeated while its error is retryable
	stopWithin   = 5 * time.Second  // what the gateway grants before it kills
	checkWithin  = 3 * time.Minute  // for a whole check
)

// needs is what a check cannot do without. A plugin in the process of a test has the first three.
type needs int

const (
	anything     needs = iota
	unconfigured       // a plugin that nobody has configured yet
	ending             // a plugin that may be stopped
	processes          // processes of a binary
)

// check is one question and what must be true of the answer.
type check struct {
	name  string
	needs needs
	vital bool // nothing more can be asked of a plugin that fails it
	run   func(context.Context, *session) error
}

// skipped is the error of a check that could not be made, and tells why.
type skipped string

func (s skipped) Error() string { return string(s) }

// session is one run of the suite.
type session struct {
	config  map[string]any
	kind    string                                 // "": whatever the plugin says it is
	connect func(context.Context) (*plugin, error) // gives a plugin that is not configured, or the one at an address
	binary  string                                 // "": there are no processes
	many    int                                    // requests that a storage plugin has to take
	listen  string                                 // where a process may serve HTTP of its own
	address bool                                   // connect gives the same server each time
	taken   bool                                   // it was configured before this session

	life    *plugin  // the configured one, which the checks between Configure and Stop share
	methods []string // what a storage plugin supports
	source  *source  // what an alerting plugin's rules are evaluated on
	fires   bool     // they fired
}

// plugin is one life of what is checked.
type plugin struct {
	conn    grpc.ClientConnInterface
	process *process // nil unless it is one of ours
	close   func() error
}

// run makes the checks, in order.
func (s *session) run(ctx context.Context, report func(Result)) (err error) {
	defer func() { err = errors.Join(err, s.end()) }()
	failed := false
	for _, part := range []func() []check{s.beginning, s.own, s.ending} {
		for _, c := range part() {
			r := s.make(ctx, c)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			report(r)
			if failed = failed || r.Err != nil; r.Err != nil && c.vital {
				return ErrFailed
			}
		}
	}
	if failed {
		return ErrFailed
	}
	return nil
}

// make makes one check.
func (s *session) make(ctx context.Context, c check) Result {
	r := Result{Name: c.name}
	began := time.Now()
	switch {
	case c.needs == processes && s.binary == "":
		r.Skipped = "only a process can be asked this"
	case c.needs == ending && s.address:
		r.Skipped = "a server at an address is not stopped: others may use it"
	case c.needs == unconfigured && s.taken:
		r.Skipped = "the server was configured before: restart it to have this checked"
	default:
		ctx, cancel := context.WithTimeout(ctx, checkWithin)
		defer cancel()
		if err := c.run(ctx, s); !errors.As(err, (*skipped)(&r.Skipped)) {
			r.Err = err
		}
	}
	r.Took = time.Since(began)
	return r
}

// kind is what the suite knows of one kind of plugin.
type kind struct {
	checks []check // between Configure and Stop

	// one makes one good call, whose name is call.
	call string
	one  func(context.Context, *session, grpc.ClientConnInterface) error

	// hold begins a call that lasts, and wait waits for its end. Nil: calls end by themselves.
	hold func(context.Context, *session, grpc.ClientConnInterface) (wait func() error)
}

func (s *session) kindOf() kind {
	switch s.kind {
	case "storage":
		return storage()
	case "notification":
		return notification()
	}
	return alerting()
}

// own are the checks of the plugin's kind.
func (s *session) own() []check { return s.kindOf().checks }

// end leaves nothing behind.
func (s *session) end() error {
	var err error
	if s.life != nil {
		err = s.life.close()
	}
	if s.source != nil {
		err = errors.Join(err, s.source.close())
	}
	return err
}

// fresh calls f with a plugin of its own.
func (s *session) fresh(ctx context.Context, f func(*plugin) error) error {
	p, err := s.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(p), p.close())
}

// configured calls f with a plugin of its own, which was configured.
func (s *session) configured(ctx context.Context, f func(*plugin) error) error {
	return s.fresh(ctx, func(p *plugin) error {
		if err := s.configure(ctx, p.conn, s.config); err != nil {
			return fmt.Errorf("it answered Configure with %s", told(err))
		}
		return f(p)
	})
}

// configure is Configure as the gateway calls it. What the life before has left, such as a lock, may take a moment.
func (s *session) configure(ctx context.Context, conn grpc.ClientConnInterface, config map[string]any) error {
	return deliverWithin(ctx, startWithin, func(ctx context.Context) error { return s.configureOnce(ctx, conn, config) })
}

func (s *session) configureOnce(ctx context.Context, conn grpc.ClientConnInterface, config map[string]any) error {
	raw := []byte("{}")
	if len(config) > 0 {
		var err error
		if raw, err = json.Marshal(config); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	response, err := pluginv1.NewPluginClient(conn).Configure(ctx, &pluginv1.ConfigureRequest{
		Name: "conformance", Config: raw, Listen: s.listen, ProtocolVersion: sdk.ProtocolVersion,
	})
	if err == nil && response.GetProtocolVersion() > sdk.ProtocolVersion {
		return fmt.Errorf("it chose version %d of the protocol, and the caller speaks %d", response.GetProtocolVersion(), sdk.ProtocolVersion)
	}
	return err
}
