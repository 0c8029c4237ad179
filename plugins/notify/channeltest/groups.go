package channeltest

import (
	"fmt"
	"time"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// Firing is a group of two alerts that fire and one that is over.
func Firing() *sdk.Group {
	g := group("firing", "firing", "resolved")
	g.Alerts[1].Annotations["runbook_url"] = "https://runbooks.example.com/upstream-failures"
	return g
}

// Resolved is the same when it is over.
func Resolved() *sdk.Group { return group("resolved", "resolved", "resolved") }

// Hostile is what clients of the mesh can make of a group by paths and hosts of their own: HTML, Markdown, mentions, links that say
// something else, templates, header injection, another direction of writing; and more alerts and longer ones than any channel shows.
func Hostile() *sdk.Group {
	g := group("firing")
	texts := []string{
		`<script>alert(1)</script><img src=x onerror=alert(2)>`,
		`[click](https://evil.example.com) **bold** _x_ ![i](https://evil.example.com/i.png)`,
		`<!channel> <!here> <@U012AB3CD> <https://evil.example.com|your bank> @everyone <at>all</at>`,
		`{{ .ExternalURL }} {{ template "x" }} %0a %s ${env:HOME}`,
		"a\r\nBcc: victim@example.com\r\n\r\n.\r\nQUIT\r\n",
		"\u202egpj.exe \u0007\u001b[31m red \xff\xfe",
		`</Say><Play>https://evil.example.com/x.mp3</Play>`,
	}
	for i := range 40 {
		a := alert("firing", i)
		a.Labels["path"] = texts[i%len(texts)]
		a.Annotations["summary"] = fmt.Sprint(texts[(i+1)%len(texts)], " ", i)
		a.GeneratorURL = "javascript:alert(1)"
		g.Alerts = append(g.Alerts, a)
	}
	g.Alerts[0].Labels["path"], g.Alerts[0].Annotations["summary"] = texts[0], texts[2]
	g.Alerts[3].Annotations["runbook_url"] = "javascript:alert(1)"
	g.GroupLabels["host"], g.CommonLabels["host"], g.CommonAnnotations = texts[0]+texts[1]+texts[2]+texts[4]+texts[5], texts[6], map[string]string{"summary": texts[1]}
	return g
}

func group(statuses ...string) *sdk.Group {
	g := &sdk.Group{
		Receiver: "oncall", Status: statuses[0], Version: "4", GroupKey: `{}/{severity="page"}:{alertname="UpstreamFailures", idc="idc1"}`,
		GroupLabels:       map[string]string{"alertname": "UpstreamFailures", "idc": "idc1"},
		CommonLabels:      map[string]string{"alertname": "UpstreamFailures", "idc": "idc1", "severity": "page"},
		CommonAnnotations: map[string]string{},
		ExternalURL:       "https://lockkeeper.example.com",
	}
	for i, status := range statuses {
		g.Alerts = append(g.Alerts, alert(status, i))
	}
	return g
}

func alert(status string, i int) sdk.GroupAlert {
	a := sdk.GroupAlert{
		Status:       status,
		Labels:       map[string]string{"alertname": "UpstreamFailures", "idc": "idc1", "severity": "page", "service": fmt.Sprintf("cart-%d", i), "path": "/v1/carts?id=<1>&x=\"2\""},
		Annotations:  map[string]string{"summary": fmt.Sprintf("5 %% of the requests to cart-%d fail with UF & UC", i)},
		StartsAt:     time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).Add(time.Duration(i) * time.Minute),
		GeneratorURL: fmt.Sprintf("https://lockkeeper.example.com/graph?g0.expr=x%d", i),
		Fingerprint:  fmt.Sprintf("%016x", i),
	}
	if status == "resolved" {
		a.EndsAt = a.StartsAt.Add(time.Hour)
	}
	return a
}
