package channel

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func group() *sdk.Group {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &sdk.Group{
		Receiver: "team", Status: "firing", GroupKey: "{}:{}", ExternalURL: "http://lockkeeper:7070/",
		GroupLabels: map[string]string{"alertname": "Down", "idc": `a"b`, "zone": ""},
		Alerts: []sdk.GroupAlert{
			{Status: "resolved", Labels: map[string]string{"n": "1"}, StartsAt: at},
			{Status: "firing", Labels: map[string]string{"n": "2"}, StartsAt: at, Annotations: map[string]string{"summary": "two"}},
			{Status: "firing", Labels: map[string]string{"alertname": "Down", "n": "3", "m": "x y"}, StartsAt: at},
		},
	}
}

func TestKey(t *testing.T) {
	key := Key(group())
	require.Len(t, key, 32)
	f := func(same bool, change func(g *sdk.Group)) {
		t.Helper()
		g := group()
		change(g)
		require.Equal(t, same, key == Key(g))
	}
	// What a repeat may differ in.
	f(true, func(*sdk.Group) {})
	f(true, func(g *sdk.Group) { slices.Reverse(g.Alerts) })
	f(true, func(g *sdk.Group) { g.Alerts[0].EndsAt = time.Now() })
	f(true, func(g *sdk.Group) { g.ExternalURL = "http://another-gateway" })
	f(true, func(g *sdk.Group) { g.Alerts[0].StartsAt = g.Alerts[0].StartsAt.In(time.FixedZone("x", 3600)) })
	// What people must be told of.
	f(false, func(g *sdk.Group) { g.Alerts = g.Alerts[1:] })
	f(false, func(g *sdk.Group) { g.Alerts[1].Status = "resolved" })
	f(false, func(g *sdk.Group) { g.Alerts[1].StartsAt = time.Now() })
	f(false, func(g *sdk.Group) { g.GroupKey = "{}:{x}" })
	f(false, func(g *sdk.Group) { g.Receiver = "other" })
}

func TestShape(t *testing.T) {
	g := group()
	shaped := Shape(g, 2, strings.ToUpper)
	require.Equal(t, group(), g, "the group itself stays as it is")
	require.Equal(t, []string{"2", "3"}, []string{shaped.Alerts[0].Labels["N"], shaped.Alerts[1].Labels["N"]}, "those that fire, in order")
	require.EqualValues(t, 1, shaped.TruncatedAlerts)
	require.Equal(t, "TWO", shaped.Alerts[0].Annotations["SUMMARY"])
	g.Alerts[1].Annotations = map[string]string{"runbook_url": "javascript:x", "dashboard_url": "https://x", "summary": "https://y"}
	require.Equal(t, map[string]string{"dashboard_url": "https://x", "summary": "https[:]//y"}, Shape(g, 1, Inert).Alerts[0].Annotations)
	require.Equal(t, 2, More(g, 1))
	require.Equal(t, "DOWN", shaped.GroupLabels["ALERTNAME"])
}

func TestTitleAndLine(t *testing.T) {
	g := group()
	require.Equal(t, `[FIRING:2] Down (a"b)`, Title(g))
	g.Status = "resolved"
	g.GroupLabels = nil
	require.Equal(t, "[RESOLVED] alerts", Title(g))
	g.CommonLabels = map[string]string{"alertname": "Up"}
	require.Equal(t, "[RESOLVED] Up", Title(g))
	require.Equal(t, "two", Line(g.Alerts[1]))
	require.Equal(t, `m="x y", n="3"`, Line(g.Alerts[2]))
}

func TestLinks(t *testing.T) {
	g := group()
	require.Equal(t, `http://lockkeeper:7070/#/silences/new?filter=%7Balertname%3D%22Down%22%2Cidc%3D%22a%5C%22b%22%2Czone%3D%22%22%7D`, Silence(g))
	g.GroupLabels["long"] = strings.Repeat("x", 3000)
	require.Empty(t, Silence(g))
	g.ExternalURL = ""
	require.Empty(t, Silence(g))
	for _, none := range []string{"javascript:alert(1)", "ftp://x/y", "/graph", "", "http://", "https://x/" + strings.Repeat("y", 3000), "http://a b/", "https://x/|y", "https://bank.example.com@evil.example.com/", "https://x/)", "https://x/水"} {
		require.Empty(t, Link(none))
	}
	require.Equal(t, "https://x/y?z#w", Link("https://x/y?z#w"))
}

func TestCleanAndClip(t *testing.T) {
	require.Equal(t, "a b c d", Clean(" a\r\nb\t\u00a0c\u0007\u202e\u200b \xffd\x00 "))
	require.Equal(t, "水水水", Clip("水水水", 3))
	require.Equal(t, "水水…", Clip("水水水水", 3))
	require.Equal(t, "…", Clip("ab", 1))
	require.Equal(t, "", Clip("", 1))
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "a\r\nb", "\u202egpj.exe", "\xff\xfe", "\x1b[31mred", "水水水水"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, characters int) {
		clean := Clean(text)
		if !utf8.ValidString(clean) || strings.ContainsAny(clean, "\r\n\x1b\x00\u202e") || Clean(clean) != clean {
			t.Errorf("%q: %q", text, clean)
		}
		if characters > 0 && utf8.RuneCountInString(Clip(clean, characters)) > characters {
			t.Errorf("%q in %d characters: %q", clean, characters, Clip(clean, characters))
		}
	})
}
