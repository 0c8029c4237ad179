package failover

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/lockkeeper/lockkeeper/xds"
)

func TestGetFailover(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, entry1, entry2, "machine/a", "machine/b")
		g.see(4, entry1, entry2, "!machine/a", "machine/b")
		g.get(t, "POST", "/api/v1/failover/hold", `{"subject":"machine/b","action":"hold","for":"1h","why":"<b>"}`, &changed{})
		var got struct {
			Serving, Would xds.Serving
			Subjects       []map[string]any
			Holds          []Hold
			Frozen, Alarms map[string]any
			State          string
		}
		g.get(t, "GET", "/api/v1/failover", "", &got)
		require.Equal(t, g.serving().Version, got.Serving.Version)
		require.Len(t, got.Subjects, 4)
		require.Equal(t, "idc/idc1/entry", got.Subjects[0]["subject"])
		a, b := got.Subjects[2], got.Subjects[3]
		require.Equal(t, "machine/a", a["subject"])
		require.Equal(t, "dead", a["health"])
		require.Equal(t, true, a["out"])
		require.Equal(t, true, a["act"])
		require.Contains(t, a["why"], "connection refused")
		require.Len(t, a["opinions"], 1)
		require.Equal(t, "<b>", b["held"].(map[string]any)["why"])
		require.Len(t, got.Holds, 1)
		require.NotNil(t, got.Frozen)
		require.Empty(t, got.State)
		g.get(t, "GET", "/api/v1/failover?subject=machine/", "", &got)
		require.Len(t, got.Subjects, 2)
		g.get(t, "GET", "/api/v1/failover?find=MACHINE+Refused", "", &got)
		require.Len(t, got.Subjects, 1)
		require.Equal(t, "machine/a", got.Subjects[0]["subject"])
		require.Equal(t, http.StatusBadRequest, g.ask("GET", "/api/v1/failover?subjects=x", "").Code)
	})
}

// A long poll is answered at the next version, or when its time is over.
func TestLongPoll(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, entry1, entry2)
		var now, later xds.Serving
		g.get(t, "GET", "/api/v1/serving", "", &now)
		began := time.Now()
		g.get(t, "GET", "/api/v1/serving?version=1&wait=30s", "", &later)
		require.Equal(t, now, later)
		require.Zero(t, time.Since(began))
		g.get(t, "GET", fmt.Sprintf("/api/v1/serving?version=%d&wait=2s", now.Version), "", &later)
		require.Equal(t, now, later)
		require.Equal(t, 2*time.Second, time.Since(began))
		answers := make(chan *httptest.ResponseRecorder)
		go func() { answers <- g.ask("GET", fmt.Sprintf("/api/v1/serving?version=%d&wait=30s", now.Version), "") }()
		g.see(6, "!"+entry1, entry2)
		require.NoError(t, json.Unmarshal((<-answers).Body.Bytes(), &later))
		require.Greater(t, later.Version, now.Version)
		require.Equal(t, uint32(0), later.IDCs["idc1"].Entry)
		f := func(query, want string) {
			t.Helper()
			answer := g.ask("GET", "/api/v1/serving?"+query, "")
			require.Equal(t, http.StatusBadRequest, answer.Code)
			require.Contains(t, answer.Body.String(), want)
		}
		f("version=x", "version: ")
		f("version=-1", "version: ")
		f("wait=5", "wait: ")
		f("wait=1h", "must be a time from 0s to 50s")
		f("timeout=1s", "timeout: unknown parameter: there are version, wait")
	})
}

// Events come as lines; those who follow get what comes until they go or the gateway stops, and there is room for so many.
func TestEvents(t *testing.T) {
	g := launch(t, acting(t.TempDir()))
	defer g.stop()
	server := httptest.NewServer(g.console)
	defer server.Close()
	g.events.add([]Event{{At: time.Now(), Kind: "hold", Subject: "machine/a", What: "one"}})
	response, err := http.Get(server.URL + "/api/v1/events?kind=hold&subject=machine/&follow=true")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, "application/x-ndjson", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	next := func() (e Event) {
		require.True(t, lines.Scan())
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		return e
	}
	require.Equal(t, "one", next().What)
	g.events.add([]Event{{At: time.Now(), Kind: "weights", What: "not asked for"}, {At: time.Now(), Kind: "hold", Subject: "machine/b", What: "two"}})
	require.Equal(t, "two", next().What)
	var others []*http.Response
	for range maxReaders - 1 {
		other, err := http.Get(server.URL + "/api/v1/events?follow=true")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, other.StatusCode)
		others = append(others, other)
	}
	refused, err := http.Get(server.URL + "/api/v1/events?follow=true")
	require.NoError(t, err)
	require.NoError(t, refused.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode)
	require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_readers_refused_total"))
	require.NoError(t, g.NotReady())
	for lines.Scan() {
	}
	for _, other := range others {
		require.NoError(t, other.Body.Close())
	}
	answer := g.ask("GET", "/api/v1/events?limit=1&kind=hold", "")
	require.Equal(t, 1, strings.Count(answer.Body.String(), "\n"))
	require.Equal(t, http.StatusBadRequest, g.ask("GET", "/api/v1/events?limit=x", "").Code)
}

func TestHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, entry1, entry2, "machine/web-17", "machine/web-18", "machine/db-1")
		const path = "/api/v1/failover/hold"
		var done changed
		g.get(t, "POST", path, `{"subject":"machine/web-17","action":"eject","for":"30m","why":"ticket 4711"}`, &done)
		require.True(t, done.Saved)
		require.Equal(t, 30*time.Minute, done.Holds[0].Until.Sub(done.Holds[0].At))
		require.Equal(t, "oncall", done.Holds[0].By)
		require.Contains(t, g.serving().Out, "machine/web-17")
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_holds", attribute.String("action", "eject")))
		// Another one replaces it, and the audit knows who and what.
		g.get(t, "POST", path, `{"subject":"machine/web-17","action":"restore","for":"10m"}`, &done)
		require.NotContains(t, g.serving().Out, "machine/web-17")
		events, _, _ := g.events.after(0)
		var lines []Event
		for _, e := range events {
			if e.Kind == "hold" {
				lines = append(lines, e)
			}
		}
		require.Len(t, lines, 2)
		require.Equal(t, "ticket 4711", lines[0].Why)
		require.Equal(t, "oncall", lines[1].Who)
		require.Contains(t, lines[1].Undoes, "eject by oncall until ")
		require.False(t, lines[1].Expires.IsZero())
		// It ends by itself, is told of, and can be ended.
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		events, _, _ = g.events.after(0)
		require.Equal(t, "ended by itself", events[len(events)-1].What)
		g.get(t, "POST", path, `{"subject":"machine/db-1","action":"eject","for":"1h","hard":true}`, &done)
		done = changed{}
		g.get(t, "DELETE", path+"?subject=machine/db-1&why=repaired", "", &done)
		require.Len(t, done.Released, 1)
		require.Empty(t, g.serving().Out)
		require.Equal(t, http.StatusNotFound, g.ask("DELETE", path+"?subject=machine/db-1", "").Code)
		require.Equal(t, http.StatusBadRequest, g.ask("DELETE", path, "").Code)
		g.get(t, "DELETE", path+"?subject=*", "", &done)
	})
}

// A dry run of a change says what would come of it, or why it is refused, and does nothing.
func TestDryRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, entry1, entry2, "machine/a", "machine/b")
		const hold, shift = "/api/v1/failover/hold", "/api/v1/failover/shift"
		dry := func(method, target, body string) (c changed) {
			t.Helper()
			before, version := g.loop.events.count, g.serving().Version
			g.get(t, method, target, body, &c)
			require.False(t, c.Saved)
			require.Equal(t, before, g.loop.events.count)
			require.Equal(t, version, g.serving().Version)
			return c
		}
		eject := func(lasts string) string { return `{"subject":"machine/a","action":"eject","for":"` + lasts + `"}` }
		require.Len(t, dry("POST", hold+"?dry_run=1", eject("1h")).Holds, 1)
		require.Equal(t, 404, g.ask("POST", hold+"?dry_run=1", `{"subject":"machine/z","action":"eject","for":"1h"}`).Code)
		require.Equal(t, 400, g.ask("POST", hold+"?dry_run=perhaps", eject("1h")).Code)
		require.Equal(t, 400, g.ask("POST", hold+"?dry=1", eject("1h")).Code)
		require.Equal(t, 404, g.ask("DELETE", hold+"?subject=machine/a&dry_run=1", "").Code)
		var done changed
		g.get(t, "POST", hold, eject("1h"), &done)
		require.Empty(t, done.Replaced)
		require.Equal(t, done.Holds, dry("POST", hold+"?dry_run=1", eject("2h")).Replaced)
		require.Equal(t, done.Holds, dry("DELETE", hold+"?subject=*&dry_run=1", "").Released)
		require.Len(t, g.serving().Out, 1)
		// Shifts.
		require.Equal(t, 404, g.ask("DELETE", shift+"?dry_run=1", "").Code)
		g.get(t, "POST", shift, `{"to":{"idc2":1},"for":"30m"}`, &done)
		require.NotEmpty(t, dry("DELETE", shift+"?dry_run=1", "").Plan)
		require.Equal(t, map[string]uint32{"idc1": 9900, "idc2": 100}, g.entry())
		g.get(t, "DELETE", shift, "", &done)
		require.Equal(t, 404, g.ask("DELETE", shift+"?dry_run=1", "").Code)
	})
}

func TestRestoreAll(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d", "dns/x")
		g.see(6, "!"+entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d", "!dns/x")
		var done changed
		g.get(t, "POST", "/api/v1/failover/hold", `{"subject":"*","action":"restore","for":"10m"}`, &done)
		require.Len(t, done.Holds, 2)
		require.Empty(t, g.serving().Out)
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		g.get(t, "DELETE", "/api/v1/failover/hold?subject=*", "", &done)
		require.Len(t, done.Released, 2)
		g.see(6, "!"+entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d")
		require.Equal(t, uint32(0), g.entry()["idc1"])
	})
}

// All that is wrong with a request is told at once.
func TestBadHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(1, "machine/web-17", "machine/web-18")
		f := func(code int, body string, want ...string) {
			t.Helper()
			answer := g.ask("POST", "/api/v1/failover/hold", body)
			require.Equal(t, code, answer.Code, answer.Body.String())
			require.Equal(t, "operator", answer.Header().Get("Role"))
			var refusal struct{ Error string }
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &refusal))
			for _, w := range want {
				require.Contains(t, refusal.Error, w)
			}
		}
		f(400, `{}`, "subject: missing", `action: "" is none of hold, eject, restore`, "for: missing: a hold always ends")
		f(400, `{"subject":"machine/web-17","action":"kill","for":"soon"}`, `action: "kill"`, `for: "soon" is not a time like 30m`)
		f(400, `{"subject":"machine/web-17","action":"eject","for":"-1m"}`, "for: ")
		f(400, `{"subject":"machine/web-17","action":"eject","for":"25h"}`, "only an admin may hold longer")
		f(400, `{"subject":"*","action":"eject","for":"1h"}`, "all at once can only be restored")
		f(400, `{"subject":"dns/a","action":"eject","for":"1h"}`, "only alert")
		f(400, `{"subject":"machine/web-17","action":"eject","for":"1h","who":"me"}`, `unknown field "who"`)
		f(400, `{"subject":"machine/web-17","action":"eject","for":"1h"} {}`, "more behind its end")
		f(400, `{"subject":`, "the body is not what is asked for")
		f(400, ``, "the body is not what is asked for")
		f(400, `{"subject":"machine/web-17","action":"eject","for":"1h","why":"`+strings.Repeat("x", mostWhy+1)+`"}`, "why: more than")
		f(413, `{"subject":"`+strings.Repeat("x", mostBody)+`"}`, "more than")
		f(404, `{"subject":"machine/web-19","action":"eject","for":"1h"}`, "did you mean machine/web-17 or machine/web-18?")
		f(404, `{"subject":"web-17","action":"eject","for":"1h"}`, "did you mean machine/web-17")
		f(404, `{"subject":"machine/quite-another","action":"eject","for":"1h"}`, "`lockkeeper failover list --all` shows them")
		f(404, `{"subject":"idc/idc3/entry","action":"eject","for":"1h"}`, "idc/idc1/entry")
		answer := g.ask("POST", "/api/v1/failover/hold/long", `{"subject":"machine/web-17","action":"eject","for":"25h"}`)
		require.Equal(t, 200, answer.Code)
		require.Equal(t, "admin", answer.Header().Get("Role"))
		require.Equal(t, 400, g.ask("POST", "/api/v1/failover/hold/long", `{"subject":"machine/web-17","action":"eject","for":"721h"}`).Code)
	})
}

// Whatever is posted, it is answered, and a hold that is taken has an end.
func FuzzHoldRequest(f *testing.F) {
	for _, body := range []string{
		`{"subject":"machine/a","action":"eject","for":"30m","hard":true,"why":"w"}`, `{"subject":"*","action":"restore","for":"24h"}`,
		`{"subject":"machine/a","action":"hold","for":"2562047h47m16.854775807s"}`, `{"for":"1e9h"}`, `{"subject":"\u0000","action":"eject","for":"1ns"}`, `[]`, `null`, `{`, "",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		recorder := httptest.NewRecorder()
		var request holdRequest
		if !read(recorder, httptest.NewRequest("POST", "/", strings.NewReader(body)), &request) {
			require.GreaterOrEqual(t, recorder.Code, 400)
			return
		}
		h, err := request.parse("oncall", longestHold)
		if err == nil && (!h.Until.After(h.At) || h.Until.Sub(h.At) > longestHold || h.Subject == "") {
			t.Fatalf("%q makes %+v", body, h)
		}
	})
}
