package main

import (
	"fmt"
	"time"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	// messageBytes is what a workflow takes: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
	messageBytes = 28_000
	shownAlerts  = 20
	textRunes    = 300
)

// The parts of an Adaptive Card 1.2 that are used: https://adaptivecards.io/explorer. All text of the mesh stands in TextRuns, in which Teams
// reads no Markdown; a TextBlock or a FactSet would have to be escaped.
type (
	element struct {
		Type      string    `json:"type"` // RichTextBlock or Container
		Inlines   []textRun `json:"inlines,omitempty"`
		Items     []element `json:"items,omitempty"`
		Style     string    `json:"style,omitempty"` // of a Container
		Bleed     bool      `json:"bleed,omitempty"`
		Separator bool      `json:"separator,omitempty"`
	}
	textRun struct {
		Type         string  `json:"type"` // TextRun
		Text         string  `json:"text"`
		Size         string  `json:"size,omitempty"`
		Weight       string  `json:"weight,omitempty"`
		Color        string  `json:"color,omitempty"`
		IsSubtle     bool    `json:"isSubtle,omitempty"`
		SelectAction *action `json:"selectAction,omitempty"`
	}
	action struct {
		Type  string `json:"type"` // Action.OpenUrl
		Title string `json:"title"`
		URL   string `json:"url"`
	}
	card struct {
		Schema       string            `json:"$schema"`
		Type         string            `json:"type"`
		Version      string            `json:"version"`
		FallbackText string            `json:"fallbackText"`
		Body         []element         `json:"body"`
		Actions      []action          `json:"actions,omitempty"`
		Teams        map[string]string `json:"msteams"`
	}
	attachment struct {
		ContentType string  `json:"contentType"`
		ContentURL  *string `json:"contentUrl"` // null, but there
		Content     card    `json:"content"`
	}
	teamsMessage struct {
		Type        string       `json:"type"`
		Attachments []attachment `json:"attachments"`
	}
)

func message(g *sdk.Group, shown int) teamsMessage {
	title := text(channel.Title(g))
	style, color := "attention", "Attention"
	if g.Status == "resolved" {
		style, color = "good", "Good"
	}
	body := []element{{
		Type: "Container", Style: style, Bleed: true,
		Items: []element{paragraph(textRun{Text: title, Size: "Large", Weight: "Bolder", Color: color})},
	}}
	for _, a := range channel.Shape(g, shown, text).Alerts {
		body = append(body, alert(a))
	}
	if more := channel.More(g, shown); more > 0 {
		body = append(body, paragraph(textRun{Text: fmt.Sprintf("and %d more", more), IsSubtle: true}))
	}
	return teamsMessage{Type: "message", Attachments: []attachment{{
		ContentType: "application/vnd.microsoft.card.adaptive",
		Content: card{
			Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.2", FallbackText: title,
			Body: body, Actions: buttons(g), Teams: map[string]string{"width": "full"},
		},
	}}}
}

func alert(a sdk.GroupAlert) element {
	state := textRun{Text: "firing since ", Color: "Attention"}
	at := a.StartsAt
	if a.Status == "resolved" {
		state, at = textRun{Text: "resolved ", Color: "Good"}, a.EndsAt
	}
	state.Text += at.UTC().Format(time.RFC3339)
	items := []element{paragraph(textRun{Text: channel.Line(a) + " ", Weight: "Bolder"}, state)}
	if labels := channel.Clip(channel.Labels(a), textRunes); labels != "" {
		items = append(items, paragraph(textRun{Text: labels, IsSubtle: true, Size: "Small"}))
	}
	var links []textRun
	link := func(title, url string) {
		if url != "" {
			links = append(links, textRun{Text: title + "  ", SelectAction: &action{Type: "Action.OpenUrl", Title: title, URL: url}})
		}
	}
	link("Runbook", a.Annotations["runbook_url"])
	link("Dashboard", a.Annotations["dashboard_url"])
	link("Query", a.GeneratorURL)
	if len(links) > 0 {
		items = append(items, paragraph(links...))
	}
	return element{Type: "Container", Separator: true, Items: items}
}

func paragraph(runs ...textRun) element {
	for i := range runs {
		runs[i].Type = "TextRun"
	}
	return element{Type: "RichTextBlock", Inlines: runs}
}

func buttons(g *sdk.Group) []action {
	var all []action
	button := func(title, url string) {
		if url != "" {
			all = append(all, action{Type: "Action.OpenUrl", Title: title, URL: url})
		}
	}
	if g.Status == "firing" {
		button("Silence", channel.Silence(g))
	}
	button("Lockkeeper", channel.Link(g.ExternalURL))
	return all
}

func text(s string) string { return channel.Clip(channel.Inert(s), textRunes) }
