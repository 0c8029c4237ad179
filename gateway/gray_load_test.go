package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// grayCluster has endpoints that fail, if they do, in a way of their own.
type grayCluster struct {
	name      string
	how       string // UF: they cannot be connected to; UC: they reset; 5xx: they answer 503
	endpoints int
}

// grayApp is one endpoint.
type grayApp struct {
	grayCluster
	address  string
	listener net.Listener // while it is not flapping, who flaps owns it else
	server   *http.Server
	tries    atomic.Int64
	failed   atomic.Int64
	last     atomic.Int64                                        // when the last request came, in nanoseconds since 1970
	left     time.Time                                           // what last was when it had been drained
	fails    atomic.Pointer[func(caller string) (share float64)] // nil: never
}

func openGrayApp(t *testing.T, c grayCluster) *grayApp {
	t.Helper()
	a := &grayApp{grayCluster: c}
	pid := os.Getpid()
	a.listen(t, fmt.Sprintf("127.%d.%d.%d:0", 3+pid>>16&63, pid>>8&255, pid&255)) // where nobody else is, also while it does not listen
	a.address = a.listener.Addr().String()
	t.Cleanup(func() { _ = a.server.Close() })
	return a
}

func (a *grayApp) listen(t *testing.T, address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	if a.server == nil {
		a.server = &http.Server{Handler: a, ReadHeaderTimeout: patience}
		a.server.SetKeepAlivesEnabled(a.how != "UF") // else no connection is made that could fail
	}
	a.listener = l
	go func() { _ = a.server.Serve(l) }()
}

func (a *grayApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.tries.Add(1)
	a.last.Store(time.Now().UnixNano())
	fails := a.fails.Load()
	if fails == nil || rand.Float64() >= (*fails)(r.Header.Get("x-caller")) {
		return
	}
	a.failed.Add(1)
	if a.how == "5xx" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// fail has a share of the tries of each caller fail; nil: none.
func (a *grayApp) fail(share func(caller string) float64) {
	if share == nil {
		a.fails.Store(nil)
		return
	}
	a.fails.Store(&share)
}

// half is the share of a gray one.
func half(string) float64 { return 0.5 }

// gray has half of all tries fail in the endpoint's own way, until stop is called.
func (a *grayApp) gray(t *testing.T) (stop func()) {
	if a.how != "UF" {
		a.fail(half)
		return func() { a.fail(nil) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // it refuses connections for half of the time
		defer close(done)
		for ctx.Err() == nil {
			_ = a.listener.Close()
			time.Sleep(10 * time.Millisecond)
			a.listen(t, a.address)
			time.Sleep(10 * time.Millisecond)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// grayLoad sends requests to clusters through callers, so many a second to each cluster, until its end or that of the test.
type grayLoad struct {
	ok, failed, skipped atomic.Int64
	stop                func()
}

// load sends so many requests a second to each of the clusters, through these callers in turn.
func (f *grayFleet) load(t *testing.T, perSecond float64, clusters []grayCluster, callers []string) *grayLoad {
	t.Helper()
	l := &grayLoad{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	waiting := make(chan struct{}, 512)
	running.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		began, sent := time.Now(), 0
		for ctx.Err() == nil {
			<-tick.C
			for due := int(time.Since(began).Seconds() * perSecond * float64(len(clusters))); sent < due; sent++ {
				cluster, caller := clusters[sent%len(clusters)].name, callers[sent/len(clusters)%len(callers)]
				select {
				case waiting <- struct{}{}:
					running.Go(func() { l.send(ctx, f, cluster, caller); <-waiting })
				default:
					l.skipped.Add(1)
				}
			}
		}
	})
	l.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(l.stop)
	return l
}

// end sends nothing more, and logs what became of the requests.
func (l *grayLoad) end(t *testing.T, what string) {
	t.Helper()
	l.stop()
	t.Logf("%s: %d requests succeeded, %d failed, %d were not sent", what, l.ok.Load(), l.failed.Load(), l.skipped.Load())
}

func (l *grayLoad) send(ctx context.Context, f *grayFleet, cluster, caller string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.callers[caller], nil)
	if err != nil {
		return
	}
	request.Header.Set("x-cluster", cluster)
	request.Header.Set("x-caller", caller)
	r, err := f.clients[caller].Do(request)
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil:
		l.failed.Add(1)
	default:
		_ = r.Body.Close()
		if r.StatusCode == http.StatusOK {
			l.ok.Add(1)
		} else {
			l.failed.Add(1)
		}
	}
}
