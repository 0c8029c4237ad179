package dns

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
)

// instance starts a server whose ports are kept.
func instance(t *testing.T, kept *Ports, endpoint string, d *decider) *server {
	t.Helper()
	cfg, err := load(t, oneZone)
	require.NoError(t, err)
	cfg.Endpoints = []string{endpoint}
	s := newServer(cfg, componenttest.NewNopTelemetrySettings(), kept)
	require.NoError(t, s.Start(t.Context(), host{component.MustNewID("failover"): d}))
	return s
}

// asking asks by UDP and TCP, again and again, on one connection each and on new ones, until stop tells what was asked and what was lost.
func asking(t *testing.T, at string) (stop func() (asked, lost int64)) {
	var end atomic.Bool
	var queries, losses atomic.Int64
	done := make(chan struct{}, 3)
	exchange := func(conn *dns.Conn) {
		queries.Add(1)
		_ = conn.SetDeadline(time.Now().Add(patience))
		m := new(dns.Msg).SetQuestion(api, dns.TypeA)
		if err := conn.WriteMsg(m); err != nil {
			losses.Add(1)
			return
		}
		if answer, err := conn.ReadMsg(); err != nil || len(answer.Answer) != 1 {
			losses.Add(1)
		}
	}
	loop := func(network string, one bool) {
		var conn net.Conn
		for !end.Load() {
			if conn == nil {
				var err error
				if conn, err = net.Dial(network, at); err != nil {
					losses.Add(1)
					continue
				}
			}
			if exchange(&dns.Conn{Conn: conn}); !one {
				_ = conn.Close()
				conn = nil
			}
		}
		if conn != nil {
			_ = conn.Close()
		}
		done <- struct{}{}
	}
	go loop("udp", false)
	go loop("tcp", true)
	go loop("tcp", false)
	return func() (int64, int64) {
		end.Store(true)
		for range 3 {
			<-done
		}
		return queries.Load(), losses.Load()
	}
}

const patience = time.Minute

// While one instance takes the place of another, the last answers are given: by UDP, and by TCP on connections that were there before.
func TestReloadsLoseNothing(t *testing.T) {
	kept := &Ports{}
	defer kept.Close()
	d := &decider{}
	d.decide(1, 10_000, 0)
	s := instance(t, kept, "127.0.0.1:0", d)
	at := s.bound[0].listener.Addr().String()
	stop := asking(t, at)
	for i := range 20 {
		require.NoError(t, s.Shutdown(context.Background()))
		time.Sleep(time.Duration(i) * time.Millisecond) // the others take some time to start
		next := &decider{}
		s = instance(t, kept, "127.0.0.1:0", next)
		require.Zero(t, kept.Release())
		time.Sleep(time.Duration(i) * time.Millisecond) // and who decides has others to hear first
		next.decide(uint64(i+2), 0, 10_000)
	}
	asked, lost := stop()
	t.Logf("%d queries over 20 reloads", asked)
	require.Zero(t, lost)
	require.Equal(t, at, s.bound[0].listener.Addr().String())
	require.Equal(t, "127.2.0.1", address(t, (&running{server: s, at: at}).ask(t, "udp", api, dns.TypeA)))
	require.NoError(t, s.Shutdown(context.Background()))
}

// What nobody takes over is closed, as is what is in the way of an endpoint that is told otherwise.
func TestPortsAreReleased(t *testing.T) {
	kept := &Ports{}
	d := &decider{}
	d.decide(1, 10_000, 0)
	first := instance(t, kept, "127.0.0.1:0", d)
	at := first.bound[0].listener.Addr().String()
	require.NoError(t, first.Shutdown(context.Background()))
	require.Equal(t, "127.1.0.1", address(t, (&running{at: at}).ask(t, "udp", api, dns.TypeA)), "the last answers are given")
	second := instance(t, kept, at, d) // the same address by another name
	require.Equal(t, at, second.bound[0].listener.Addr().String())
	require.Zero(t, kept.Release())
	require.NoError(t, second.Shutdown(context.Background()))
	require.Equal(t, 1, kept.Release())
	_, err := net.DialTimeout("tcp", at, time.Second)
	require.Error(t, err)

	third := instance(t, kept, at, d)
	kept.Close()
	require.NoError(t, third.Shutdown(context.Background()))
	_, err = net.DialTimeout("tcp", at, time.Second)
	require.Error(t, err, "nothing is kept any more")
}

// A server that could not start is shut down twice: by itself, and by the Collector. Its ports are given back once, or whoever takes one loses it.
func TestFailedStartGivesPortsOnce(t *testing.T) {
	kept := &Ports{}
	defer kept.Close()
	d := &decider{}
	d.decide(1, 10_000, 0)
	first := instance(t, kept, "127.0.0.1:0", d)
	at := first.bound[0].listener.Addr().String()
	require.NoError(t, first.Shutdown(context.Background()))

	cfg, err := load(t, oneZone)
	require.NoError(t, err)
	cfg.Endpoints = []string{"127.0.0.1:0", "192.0.2.1:0"} // the second is no address of this machine
	failed := newServer(cfg, componenttest.NewNopTelemetrySettings(), kept)
	require.Error(t, failed.Start(t.Context(), host{}))
	require.NoError(t, failed.Shutdown(context.Background()))

	again := instance(t, kept, "127.0.0.1:0", d)
	require.Equal(t, at, again.bound[0].listener.Addr().String())
	require.Zero(t, kept.Release())
	require.Equal(t, "127.1.0.1", address(t, (&running{server: again, at: at}).ask(t, "udp", api, dns.TypeA)))
	require.NoError(t, again.Shutdown(context.Background()))
}

// What is decided too late, when a server has given its ports back, takes them from nobody.
func TestLateDecisionTakesNoPorts(t *testing.T) {
	kept := &Ports{}
	defer kept.Close()
	slow, d := instance(t, kept, "127.0.0.1:0", &decider{}), &decider{}
	require.NoError(t, slow.Shutdown(context.Background()))
	d.decide(1, 10_000, 0)
	next := instance(t, kept, "127.0.0.1:0", d)
	slow.swap(nil) // as its timer may, which is stopped but has begun
	at := next.bound[0].listener.Addr().String()
	require.Equal(t, "127.1.0.1", address(t, (&running{server: next, at: at}).ask(t, "udp", api, dns.TypeA)))
	require.Same(t, next.answering[0][0], next.bound[0].sockets[0].worker.Load())
	require.NoError(t, next.Shutdown(context.Background()))
}
