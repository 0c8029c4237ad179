package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// front stands before a gateway's console: it counts what is changed there, and has its faults.
type front struct {
	url     string
	mu      sync.Mutex
	changes []string
	faulty  string // "": not; what it does with a change: refuses, cuts or breaks it, or hides it (slow)
	cluster *clusterState
}

func openFront(t *testing.T, address string, cluster *clusterState) *front {
	t.Helper()
	target, err := url.Parse(address)
	require.NoError(t, err)
	f := &front{cluster: cluster}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		change := r.Method != http.MethodGet && !r.URL.Query().Has("dry_run")
		f.mu.Lock()
		faulty := f.faulty
		if change {
			f.changes = append(f.changes, r.Method)
		}
		f.mu.Unlock()
		switch {
		case r.URL.Path == clusterPath && f.cluster != nil:
			_ = json.NewEncoder(w).Encode(f.cluster)
		case change && faulty == "refuses":
			http.Error(w, `{"error":"it has no mind to"}`, http.StatusConflict)
		case change && faulty == "breaks":
			w.WriteHeader(http.StatusBadGateway)
		case change && faulty == "cuts":
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			f.fault("") // what undoes it comes through
			panic(http.ErrAbortHandler)
		case faulty == "slow" && r.URL.Path == "/api/v1/failover":
			fmt.Fprint(w, `{}`)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that it cuts
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *front) fault(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faulty = what
}

// taken are the changes since it was asked last.
func (f *front) taken() (changes string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes, f.changes = strings.Join(f.changes, " "), nil
	return changes
}

// several asks several gateways, and wants all of want to be said.
func several(t *testing.T, fronts ...*front) func(code int, command string, want ...string) string {
	return func(code int, command string, want ...string) string {
		t.Helper()
		args := strings.Fields(command)
		for _, f := range fronts {
			args = append(args, "--url", f.url)
		}
		got, out, problems := call(t, args...)
		require.Equal(t, code, got, "%s\n%s%s", command, out, problems)
		for _, w := range want {
			require.Contains(t, out+problems, w, command)
		}
		return out + problems
	}
}

// held are the holds that a gateway shows.
func (f *front) held(t *testing.T) string {
	t.Helper()
	var state failoverState
	getJSON(t, f.url+"/api/v1/failover", &state)
	var held []string
	for _, h := range state.Holds {
		held = append(held, h.Subject+" "+holdWord(h))
	}
	return strings.Join(held, ", ")
}

// Several gateways change together or not at all, and it is told who says something else.
func TestSeveralGateways(t *testing.T) {
	one, two := openFront(t, startFailover(t), nil), openFront(t, startFailover(t), nil)
	f, alone := several(t, one, two), several(t, two)
	host := func(f *front) string { return strings.TrimPrefix(f.url, "http://") }
	f(0, "failover list", "2 gateways agree.\n", "machine/web-3")
	f(0, "failover eject machine/web-1 --for 30m", "machine/web-1: eject until ", "Done on 2 of 2 gateways: "+host(one)+", "+host(two))
	require.Equal(t, "POST POST", one.taken()+" "+two.taken())
	f(0, "failover list", "2 gateways agree.\n")
	f(0, "failover events --kind hold", host(one)+": ", host(two)+": ", "by ann")
	f(0, "failover events --kind hold -o json", `{"gateway":"`+host(two)+`","at":`)
	require.Equal(t, 1, strings.Count(f(0, "failover events -n 1"), "\n"))

	// One says something else.
	alone(0, "failover restore machine/web-1 --for 30m", "machine/web-1: restore until ")
	f(1, "failover list", host(one)+": has machine/web-1 draining (others: in), holds machine/web-1 eject (others: restore)\n",
		host(two)+": has machine/web-1 in (others: draining), holds machine/web-1 restore (others: eject)\n", "error: the gateways disagree")
	f(1, "failover list -o json", `"disagrees":["`, `"answer":{"at":`, "the gateways disagree")
	f(0, "failover release --all", "released", "Done on 2 of 2")
	f(0, "failover list", "2 gateways agree.\n")
	one.taken()
	two.taken()

	// One that is not there, or would refuse.
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	three := several(t, one, two, &front{url: gone.URL})
	three(1, "failover eject machine/web-1 --for 30m", "error: no gateway at "+gone.URL, "error: nothing was changed: 2 of 3 gateways would take it; --partial changes those\n")
	require.Empty(t, one.held(t)+two.held(t)+one.taken()+two.taken())
	three(0, "failover eject machine/web-1 --for 30m --partial", "warning: without "+host(&front{url: gone.URL})+": no gateway", "Done on 2 of 3 gateways: ")
	three(1, "failover list", "no gateway at "+gone.URL, "error: 1 of 3 gateways do not answer, or refuse")
	alone(0, "failover release machine/web-1")
	require.NotContains(t, f(1, "failover release machine/web-2", "there is no hold"), "--partial")
	f(1, "failover release machine/web-1", host(two)+": there is no hold", "--partial")
	f(0, "failover release machine/web-1 --partial -o json", `"error":"http`, `"released":[{`)
	several(t, one, one)(2, "failover list", one.url+" is there twice")
	require.Equal(t, 1, strings.Count(f(2, "failover eject machine/web-1 --for 30m --why "+strings.Repeat("x", 501)), "error: "), "a mistake is told once")

	// LOCKKEEPER_URL names several, too.
	t.Setenv("LOCKKEEPER_URL", one.url+","+two.url)
	several(t)(0, "failover list", "2 gateways agree.\n")
}

// What some gateways took is undone when another fails, whether that has answered or not.
func TestUndo(t *testing.T) {
	one, two := openFront(t, startFailover(t), nil), openFront(t, startFailover(t), nil)
	f := several(t, one, two)
	f(0, "failover restore machine/web-1 --for 1h")
	for _, fault := range []string{"refuses", "cuts"} {
		undone := "error: undone: all is as before on " + one.url[len("http://"):]
		check := func(command string, want ...string) {
			t.Helper()
			two.fault(fault)
			f(1, command, append(want, undone)...)
			two.fault("")
			require.Equal(t, "machine/web-1 restore", one.held(t))
			require.Equal(t, "machine/web-1 restore", two.held(t))
		}
		check("failover eject machine/web-1 --for 30m")
		check("failover eject machine/web-2 --for 30m --hard")
		check("failover release --all")

		check("shift apply --to idc2=60 --for 2h")
		f(0, "shift status", "2 gateways agree.", "50 %")
		f(0, "shift apply --to idc2=60 --steps 55 --each 1h --for 2h", "Done on 2 of 2 gateways")
		check("shift apply --to idc2=70 --for 2h --replace")
		f(0, "shift status", "2 gateways agree.", "step 1 of 2", "45 %", "55 %")
		check("shift abort")
		f(0, "shift status", "2 gateways agree.", "step 1 of 2", "45 %", "55 %")
		f(0, "shift apply --to idc2=70 --for 1h --replace --hard")
		check("shift abort")
		f(0, "shift status", "2 gateways agree.", "step 1 of 1", "30 %", "70 %")
		f(0, "shift abort", "has ended: back to what shift-")
		check("shift abort")
		f(0, "shift status", "2 gateways agree.", "45 %", "55 %")
		f(0, "shift abort", "has ended: back to base weights")
	}
	two.fault("breaks")
	f(1, "failover eject machine/web-2 --for 30m", two.url[len("http://"):]+": it may have been changed, and that could not be undone", "error: undone: all is as before on "+one.url[len("http://"):])
	two.fault("refuses")
	several(t, two, one)(1, "failover eject machine/web-2 --for 30m", "error: nothing was changed\n")
}

// Of gateways of a cluster one is told, and the others show it.
func TestGatewaysOfACluster(t *testing.T) {
	address := startFailover(t)
	member := func(self, other string) *clusterState {
		c := &clusterState{Name: self, Site: "site-" + self, Advertise: self + ":1"}
		for _, name := range []string{"a", "b"} {
			c.Members = append(c.Members, clusterMember{Name: name, Site: "site-" + name, Address: name + ":1", State: memberAlive, Since: time.Now(), LastWord: time.Now(), Self: name == self})
		}
		return c
	}
	one, two := openFront(t, address, member("a", "b")), openFront(t, address, member("b", "a"))
	host := func(f *front) string { return strings.TrimPrefix(f.url, "http://") }
	f := several(t, one, two)
	f(0, "failover eject machine/web-1 --for 30m", "Done on 2 of 2 gateways: a ("+host(one)+"), b ("+host(two)+")")
	require.Equal(t, "POST", one.taken()+two.taken())
	f(0, "failover release machine/web-1", "Done on 2 of 2 gateways")
	f(0, "shift apply --to idc2=60 --for 2h", "Done on 2 of 2 gateways")
	f(0, "shift abort", "Done on 2 of 2 gateways")
	f(0, "failover list", "2 gateways agree.")
	require.Empty(t, two.taken())

	two.fault("slow")
	f(1, "failover eject machine/web-1 --for 30m", "Done on 1 of 2 gateways: a (", "error: b ("+host(two)+"), of its cluster, does not show it after 2s")
	f(1, "failover list", "b ("+host(two)+"): ", "is at version 0 (others: 1")
	two.fault("")

	// Who is in the cluster.
	f(0, "cluster", "2 gateways agree.\n", "NAME  SITE    ADDRESS  STATE", "a     site-a  a:1      alive", "this one")
	two.cluster.Members[0].State = "lost"
	f(1, "cluster", "b ("+host(two)+"): sees a lost (others: alive)")
	one.taken()
	f(0, "failover hold machine/web-1 --for 1h", "Done on 2 of 2 gateways")
	require.Equal(t, "POST POST", one.taken()+" "+two.taken(), "neither tells the other")
	one.cluster.Silent = append(one.cluster.Silent, struct{ Site, Why string }{"site-b", "it is dark\x1b[2J"})
	several(t, one)(1, "cluster", "ALARM site site-b is silent: it is dark?[2J\n", "error: a site is silent")
	several(t, one)(1, "cluster -o json", `"Silent":[`)
	several(t, openFront(t, address, nil))(1, "cluster", "extension cluster")
}
