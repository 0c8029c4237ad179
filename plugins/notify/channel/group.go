// Package channel is what the notification plugins share: which addresses they connect to, how they send, which failures are worth
// another try, and what a group of alerts is in short. It knows nothing of any one channel.
package channel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// linkBytes is what a link may have: some channels take no longer ones.
const linkBytes = 2000

// Key is 32 hexadecimal digits that are the same for the same alerts in the same state, however often and by whichever process they are sent.
func Key(g *sdk.Group) string {
	lines := make([]string, len(g.Alerts))
	for i, a := range g.Alerts {
		labels, _ := json.Marshal(a.Labels) // sorted; a map of strings cannot fail
		lines[i] = fmt.Sprintf("%s %s %d", labels, a.Status, a.StartsAt.UnixNano())
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %q %q", g.Receiver, g.GroupKey, g.Status, lines)))
	return hex.EncodeToString(sum[:16])
}

// Shape is a copy of g for people: those that fire first, no more alerts than so many, and each name and value of the mesh as
// text makes it, which is where a channel escapes them.
func Shape(g *sdk.Group, alerts int, text func(string) string) *sdk.Group {
	shaped := *g
	shaped.GroupLabels, shaped.CommonLabels, shaped.CommonAnnotations = each(g.GroupLabels, text), each(g.CommonLabels, text), annotations(g.CommonAnnotations, text)
	ordered := slices.Clone(g.Alerts)
	slices.SortStableFunc(ordered, func(a, b sdk.GroupAlert) int { return strings.Compare(a.Status, b.Status) }) // "firing" is before "resolved"
	if len(ordered) > alerts {
		shaped.TruncatedAlerts += uint64(len(ordered) - alerts)
		ordered = ordered[:alerts]
	}
	for i, a := range ordered {
		ordered[i].Labels, ordered[i].Annotations, ordered[i].GeneratorURL = each(a.Labels, text), annotations(a.Annotations, text), Link(a.GeneratorURL)
	}
	shaped.Alerts, shaped.ExternalURL = ordered, Link(g.ExternalURL)
	return &shaped
}

// annotations leaves those that are to be links, such as runbook_url, as they are, or out if they are none.
func annotations(of map[string]string, text func(string) string) map[string]string {
	made := each(of, text)
	for name, value := range of {
		switch {
		case !strings.HasSuffix(name, "_url"):
		case Link(value) == "":
			delete(made, text(name))
		default:
			made[text(name)] = value
		}
	}
	return made
}

// More is how many alerts of g are not among so many that are shown.
func More(g *sdk.Group, shown int) int {
	return max(len(g.Alerts)-shown, 0) + int(min(g.TruncatedAlerts, 1<<31))
}

func each(values map[string]string, text func(string) string) map[string]string {
	made := make(map[string]string, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) { // so that of two names which become one the same is left each time
		made[text(name)] = text(values[name])
	}
	return made
}

// Title is the group in a line, such as "[FIRING:2] HighErrorRate (cart, idc1)".
func Title(g *sdk.Group) string {
	title := "[" + strings.ToUpper(g.Status) + "]"
	if firing := len(g.Firing()); g.Status == "firing" {
		title = fmt.Sprintf("[FIRING:%d]", firing)
	}
	name := g.GroupLabels["alertname"]
	if name == "" {
		name = g.CommonLabels["alertname"]
	}
	if name == "" {
		name = "alerts"
	}
	var rest []string
	for _, label := range slices.Sorted(maps.Keys(g.GroupLabels)) {
		if label != "alertname" && g.GroupLabels[label] != "" {
			rest = append(rest, g.GroupLabels[label])
		}
	}
	if len(rest) > 0 {
		name += " (" + strings.Join(rest, ", ") + ")"
	}
	return title + " " + name
}

// Line is an alert in a line: what its annotations say, or else its labels.
func Line(a sdk.GroupAlert) string {
	for _, name := range []string{"summary", "description", "message"} {
		if a.Annotations[name] != "" {
			return a.Annotations[name]
		}
	}
	return Labels(a)
}

// Labels are an alert's labels in a line, but for its name: `idc="idc1", service="cart"`.
func Labels(a sdk.GroupAlert) string {
	var pairs []string
	for _, label := range slices.Sorted(maps.Keys(a.Labels)) {
		if label != "alertname" {
			pairs = append(pairs, fmt.Sprintf("%s=%q", label, a.Labels[label]))
		}
	}
	return strings.Join(pairs, ", ")
}

// Silence is the address at which a silence for the group can be made, as Alertmanager's page has it; empty without an ExternalURL.
// It takes the group as it came, not as it was escaped.
func Silence(g *sdk.Group) string {
	base := Link(g.ExternalURL)
	if base == "" {
		return ""
	}
	labels := g.GroupLabels
	if len(labels) == 0 {
		labels = g.CommonLabels
	}
	var matchers []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		matchers = append(matchers, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return Link(strings.TrimSuffix(base, "/") + "/#/silences/new?filter=" + url.QueryEscape("{"+strings.Join(matchers, ",")+"}"))
}

// Link is text if it is an address of the web that people can follow, else empty: no other scheme, nothing endless, and nothing that a
// channel could take for the end of the link.
func Link(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || len(text) > linkBytes {
		return ""
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("|<>\"'`{}()[]\\^*", r) }) {
		return ""
	}
	return text
}

// Clean is text in one line without what is not for people: control characters, those that turn the direction of writing, broken UTF-8.
func Clean(text string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(kept), " ")
}

// Clip is text in no more characters than so many.
func Clip(text string, characters int) string {
	seen := 0
	for i := range text {
		if seen == characters-1 && len([]rune(text[i:])) > 1 {
			return text[:i] + "…"
		}
		seen++
	}
	return text
}
