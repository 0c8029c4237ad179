package channel

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestPlain(t *testing.T) {
	g := group()
	require.Equal(t, "[FIRING:2] Down (a\"b)\ntwo\nm=\"x y\", n=\"3\"\nover: n=\"1\"\nhttp://lockkeeper:7070/", Plain(g, 200))
	// Whole lines are left out, and counted.
	require.Equal(t, "[FIRING:2] Down (a\"b)\ntwo\nand 2 more", Plain(g, 45))
	g.TruncatedAlerts = 5
	require.Equal(t, "[FIRING:2] Down (a\"b)\ntwo\nand 7 more", Plain(g, 45))
	require.Equal(t, "[FIRING…", Plain(g, 8))
	// What is over is no news where all is.
	g = group()
	g.Status, g.Alerts = "resolved", g.Alerts[:1]
	require.Equal(t, "[RESOLVED] Down (a\"b)\nn=\"1\"\nhttp://lockkeeper:7070/", Plain(g, 200))
	// An endless line does not take the place of the others.
	g = group()
	g.Alerts[1].Annotations["summary"] = strings.Repeat("x", 5000)
	require.Contains(t, Plain(g, 400), "xx…\nm=\"x y\"")
}

func TestInert(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		require.Equal(t, want, Inert(text))
	}
	f("https://evil.example.com/x?y=1.2", "https[:]//evil[.]example[.]com/x?y=1[.]2")
	f("see HTTP://1249763844/", "see HTTP[:]//1249763844/")
	f("(www.evil.com)", "(www[.]evil[.]com)")
	f("x=tel:+1900 MAILTO:a@b.c", "x=tel[:]+1900 MAILTO[:]a@b[.]c")
	f("javascript:alert(1)", "javascript[:]alert(1)")
	// Names stay what they are.
	f("cart.shop.svc.cluster.local:8080 v1.2.3 50.5 % metadata:x\r\n/a", "cart.shop.svc.cluster.local:8080 v1.2.3 50.5 % metadata:x /a")
}

func FuzzPlain(f *testing.F) {
	f.Add("https://evil.example.com", 100)
	f.Add("水\xff\u202e\r\nwww.x.y", 20)
	f.Add("", 1)
	f.Fuzz(func(t *testing.T, text string, characters int) {
		characters = max(characters, 1) % 5000
		g := &sdk.Group{Status: "firing", GroupLabels: map[string]string{"alertname": text}}
		for i := range 5 {
			g.Alerts = append(g.Alerts, sdk.GroupAlert{Status: "firing", Labels: map[string]string{text: fmt.Sprint(text, i)}, Annotations: map[string]string{"summary": text}})
		}
		got := Plain(g, max(characters, 1))
		if utf8.RuneCountInString(got) > max(characters, 1) || !utf8.ValidString(got) || strings.Contains(got, "://") || strings.Contains(got, "\r") {
			t.Errorf("%q in %d: %q", text, characters, got)
		}
	})
}

func TestRunbooks(t *testing.T) {
	g := group()
	for i, link := range []string{"https://r/over", "https://r/1", "https://r/1"} {
		g.Alerts[i].Annotations = map[string]string{"runbook_url": link}
	}
	require.Equal(t, []string{"https://r/1"}, Runbooks(g))
	for i := range 5 {
		g.Alerts = append(g.Alerts, sdk.GroupAlert{Status: "firing", Annotations: map[string]string{"runbook_url": fmt.Sprint("https://r/", i)}})
	}
	g.Alerts[2].Annotations["runbook_url"] = "javascript:x"
	require.Equal(t, []string{"https://r/1", "https://r/0", "https://r/2"}, Runbooks(g))
}
