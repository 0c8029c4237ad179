package alerting

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func firing(name string) *alert.Alert {
	now := time.Now()
	return &alert.Alert{Alert: model.Alert{Labels: model.LabelSet{"alertname": model.LabelValue(name)}, StartsAt: now, EndsAt: now.Add(time.Hour)}, UpdatedAt: now}
}

// An alert that a plugin no longer sends after the gateway was restarted is over when the plugin has had its time.
func TestSettle(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	stop := g.start(t)
	ctx := from(t.Context(), "plugin/rules")
	require.NoError(t, g.alerting.state.intake.Put(ctx, firing("Over"), firing("Still")))
	require.NotEqual(t, chat.next(t).GroupKey, chat.next(t).GroupKey)
	g.post(t, `[{"labels":{"alertname":"Posted"}}]`)
	chat.next(t)
	stop()
	g.start(t)() // one more, in which nobody sends anything
	g.start(t)
	require.NoError(t, g.alerting.state.intake.Put(ctx, firing("Still")))
	require.NoError(t, g.alerting.state.intake.settle(t.Context(), "plugin/rules"))
	group := chat.next(t)
	require.Equal(t, "resolved", group.Status)
	require.Equal(t, "Over", group.GroupLabels["alertname"])
	require.Empty(t, chat.groups)
}

// An alert may begin by a clock that is ahead, and end before this one is there: that costs nothing of what is remembered.
func TestEndsBeforeItBegan(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	stop := g.start(t)
	g.post(t, `[{"labels":{"alertname":"Posted"}}]`)
	chat.next(t)
	g.part.say(sdk.Alert{Labels: map[string]string{"alertname": "Ahead"}, StartsAt: time.Now().Add(time.Minute)})
	require.Equal(t, "firing", chat.next(t).Status)
	g.part.say()
	require.Equal(t, "resolved", chat.next(t).Status)
	stop()
	g.start(t)
	require.Zero(t, g.log.FilterMessageSnippet("is damaged").Len())
	require.Contains(t, g.ask(http.MethodGet, "/api/v2/alerts", "").Body.String(), "Posted")
}

// An end that nobody was told of is told of after a restart.
func TestResolvedWhileNobodyListens(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, strings.Replace(quick, "100ms", "1h", 1), map[string]*plugin{"chat": chat})
	stop := g.start(t)
	one := firing("One")
	require.NoError(t, g.alerting.state.intake.Put(t.Context(), one))
	require.Equal(t, "firing", chat.next(t).Status)
	over := *one
	over.EndsAt, over.UpdatedAt = time.Now(), time.Now()
	require.NoError(t, g.alerting.state.intake.Put(t.Context(), &over))
	stop()
	require.Empty(t, chat.groups, "the group's turn has not come")
	g.start(t)
	require.Equal(t, "resolved", chat.next(t).Status)
	// once
	g.post(t, `[{"labels":{"alertname":"Two"}}]`)
	require.Equal(t, "Two", chat.next(t).GroupLabels["alertname"])
}

// An alert that was not sent again is over for good, also after a restart.
func TestExpired(t *testing.T) {
	g := newGateway(t, quick, map[string]*plugin{"chat": serve(t, "notification")})
	stop := g.start(t)
	soon := firing("Soon")
	soon.EndsAt = time.Now().Add(time.Millisecond)
	require.NoError(t, g.alerting.state.intake.Put(t.Context(), soon))
	require.Eventually(t, soon.Resolved, patience, time.Millisecond)
	g.alerting.state.intake.sweep()
	stop()
	records, _, err := readJournal(filepath.Join(g.cfg.DataDirectory, "alerts"))
	require.NoError(t, err)
	known, err := decodeAlerts(records)
	require.NoError(t, err)
	require.True(t, known[soon.Fingerprint()].Resolved)
	g.start(t)
	require.Equal(t, "[]\n", g.ask(http.MethodGet, "/api/v2/alerts", "").Body.String())
}

// More alerts than there is room for are refused and counted, and what is over makes room.
func TestMostAlerts(t *testing.T) {
	g := newGateway(t, quick, map[string]*plugin{"chat": serve(t, "notification")})
	g.cfg.MaxAlerts = 2
	g.start(t)
	answer := g.ask(http.MethodPost, "/api/v2/alerts", `[{"labels":{"a":"1"}},{"labels":{"a":"2"}},{"labels":{"a":"3"}}]`)
	require.Equal(t, http.StatusInternalServerError, answer.Code)
	require.Contains(t, answer.Body.String(), "1 alerts were refused: there are extensions::alerting::max_alerts (2) already")
	require.EqualValues(t, 1, g.count(t, "lockkeeper_alerting_alerts_refused_total", fromAPI))
	g.post(t, `[{"labels":{"a":"1"}}]`)
	g.post(t, fmt.Sprintf(`[{"labels":{"a":"1"},"endsAt":%q}]`, time.Now().Add(-time.Millisecond).Format(time.RFC3339Nano)))
	require.Eventually(t, func() bool {
		return g.ask(http.MethodPost, "/api/v2/alerts", `[{"labels":{"a":"3"}}]`).Code == http.StatusOK
	},
		patience, 10*time.Millisecond)
}

// One alert cannot take all the room.
func TestLargeAlert(t *testing.T) {
	g := newGateway(t, quick, map[string]*plugin{"chat": serve(t, "notification")})
	g.start(t)
	large := fmt.Sprintf(`[{"labels":{"alertname":"Large"},"annotations":{"log":%q}}]`, strings.Repeat("x", alertBytes))
	require.Contains(t, g.ask(http.MethodPost, "/api/v2/alerts", large).Body.String(), "or one has more than 64 KiB")
	require.Equal(t, "[]\n", g.ask(http.MethodGet, "/api/v2/alerts", "").Body.String())
}

// Damaged files cost what is in them, not the start.
func TestDamagedState(t *testing.T) {
	g := newGateway(t, quick, map[string]*plugin{"chat": serve(t, "notification")})
	for _, name := range []string{"silences", "nflog", "alerts"} {
		require.NoError(t, os.WriteFile(filepath.Join(g.cfg.DataDirectory, name), []byte("\x05hello"), 0o600))
	}
	g.start(t)
	require.Equal(t, "[]\n", g.ask(http.MethodGet, "/api/v2/silences", "").Body.String())
	for _, name := range []string{"silences", "nflog", "alerts"} {
		kept, err := os.ReadFile(filepath.Join(g.cfg.DataDirectory, name+".damaged"))
		require.NoError(t, err)
		require.Equal(t, "\x05hello", string(kept))
	}
	require.Equal(t, 3, g.log.FilterMessageSnippet("is damaged").Len())
}

// Ten thousand alerts at once are told of in seconds, and take little more room than their text.
func TestTenThousandAlerts(t *testing.T) {
	const alerts, groups = 10_000, 500
	chat := serve(t, "notification")
	g := newGateway(t, strings.NewReplacer("group_wait: 0s", "group_wait: 1s", "100ms", "5s").Replace(quick), map[string]*plugin{"chat": chat})
	g.start(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	all := make([]*alert.Alert, alerts)
	for i := range all {
		all[i] = firing(fmt.Sprint("Alert", i%groups))
		all[i].Labels["instance"] = model.LabelValue(fmt.Sprint("machine-", i))
		all[i].Annotations = model.LabelSet{"summary": "something is wrong with this machine, and it should be looked at"}
	}
	require.NoError(t, g.alerting.state.intake.Put(context.Background(), all...))
	told := map[string]bool{}
	for len(told) < alerts {
		for _, a := range chat.next(t).Alerts {
			told[a.Labels["instance"]] = true
		}
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d alerts in %d groups told of in %s, with %d KiB on the heap", alerts, groups, took, (int64(after.HeapAlloc)-int64(before.HeapAlloc))/1024)
	require.Less(t, took, patience)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(200<<20))
}
