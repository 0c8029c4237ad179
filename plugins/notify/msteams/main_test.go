package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChannel(t *testing.T) {
	channeltest.Check(t, channeltest.Channel{
		Open: open,
		Config: func(url string) map[string]any {
			return map[string]any{"webhook_url": url + "/workflows/1a2b/triggers/manual/paths/invoke?api-version=2016-06-01&sig=s3cretSignature"}
		},
		Accept:  accept,
		Answer:  func(w http.ResponseWriter, _ []byte) { w.WriteHeader(http.StatusAccepted) }, // as workflows do
		Secrets: []string{"s3cretSignature"},
		Wrong: map[string]func(map[string]any){
			"webhook_url: want a URL": func(c map[string]any) { c["webhook_url"] = "prod-1.logic.azure.com/s3cretSignature" },
		},
	})
}

// accept holds what Teams asks of a card, by https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference
// and the schema of Adaptive Cards 1.2: what is not in it makes Teams drop the card without a word.
func accept(r *http.Request, body []byte) error {
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || len(body) > 28<<10 {
		return fmt.Errorf("want a POST of JSON of 28 KB at most, not %d", len(body))
	}
	var m struct {
		Type        string
		Attachments []struct {
			ContentType string
			ContentURL  json.RawMessage
			Content     map[string]any
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return err
	}
	if m.Type != "message" || len(m.Attachments) != 1 || m.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" || string(m.Attachments[0].ContentURL) != "null" {
		return errors.New("not a message with one card")
	}
	return node(m.Attachments[0].Content, "card")
}

// known are the properties that the schema has, by type; those with ! are required.
func known(kind string) []string {
	return map[string][]string{
		"AdaptiveCard":   {"type!", "version!", "$schema", "fallbackText", "body", "actions", "msteams"},
		"Container":      {"type!", "items!", "style", "bleed", "separator"},
		"RichTextBlock":  {"type!", "inlines!"},
		"TextRun":        {"type!", "text!", "size", "weight", "color", "isSubtle", "selectAction"},
		"Action.OpenUrl": {"type!", "url!", "title"},
	}[kind]
}

func node(value map[string]any, where string) error {
	kind, _ := value["type"].(string)
	properties := known(kind)
	if properties == nil {
		return fmt.Errorf("%s: no type %q, or one in which Markdown is read", where, kind)
	}
	for _, p := range properties {
		if name, required := strings.CutSuffix(p, "!"); required && value[name] == nil {
			return fmt.Errorf("%s: a %s without %s", where, kind, name)
		}
	}
	if url, ok := value["url"].(string); ok && !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://localhost:7070") {
		return fmt.Errorf("%s: leads to %q", where, url)
	}
	for name, words := range map[string][]string{
		"style": {"attention", "good"}, "size": {"Small", "Large"}, "weight": {"Bolder"}, "color": {"Attention", "Good"}, "version": {"1.2"},
	} {
		if said, ok := value[name].(string); ok && !slices.Contains(words, said) {
			return fmt.Errorf("%s: no %s %q", where, name, said)
		}
	}
	if said, ok := value["text"].(string); ok && channeltest.NoLinks(said) != nil {
		return fmt.Errorf("%s: %w", where, channeltest.NoLinks(said))
	}
	for name, child := range value {
		if !slices.Contains(properties, name) && !slices.Contains(properties, name+"!") {
			return fmt.Errorf("%s: a %s has no %s", where, kind, name)
		}
		if object, ok := child.(map[string]any); ok && name != "msteams" {
			if err := node(object, where+"."+name); err != nil {
				return err
			}
		}
		list, _ := child.([]any)
		for i, one := range list {
			if err := node(one.(map[string]any), fmt.Sprintf("%s.%s[%d]", where, name, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// However long alerts are, what is sent is what Teams takes.
func TestFitting(t *testing.T) {
	g := channeltest.Hostile()
	for i := range g.Alerts {
		for j := range 20 {
			g.Alerts[i].Labels[fmt.Sprintf("label%d", j)] = strings.Repeat("水", 1000)
		}
		g.Alerts[i].Annotations["summary"] = strings.Repeat("\"", 1000)
		g.Alerts[i].Annotations["runbook_url"] = "https://example.com/" + strings.Repeat("x", 1900)
	}
	body, err := fitting(g)
	require.NoError(t, err)
	require.LessOrEqual(t, len(body), messageBytes)
	require.Contains(t, string(body), "more")
}
