package channel

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	lineRunes  = 160 // of one alert in a Plain text
	plainLines = 100
)

// Plain is the group for where there is no markup and little room, such as a phone: its title, a line for each alert, those that fire
// first, and where the console is. What does not fit into so many characters is left out, and how many alerts that were is said.
func Plain(g *sdk.Group, characters int) string {
	shaped := Shape(g, plainLines, Inert)
	text, shown := Clip(Title(shaped), lineRunes), 0
	for _, a := range shaped.Alerts {
		line := Line(a)
		if a.Status == "resolved" && g.Status != "resolved" {
			line = "over: " + line
		}
		longer := text + "\n" + Clip(line, lineRunes)
		if !fits(longer+more(g, shown+1), characters) {
			break
		}
		text, shown = longer, shown+1
	}
	text += more(g, shown)
	if longer := text + "\n" + shaped.ExternalURL; shaped.ExternalURL != "" && fits(longer, characters) {
		text = longer
	}
	return Clip(text, characters)
}

func fits(text string, characters int) bool { return utf8.RuneCountInString(text) <= characters }

func more(g *sdk.Group, shown int) string {
	if hidden := More(g, shown); hidden > 0 {
		return fmt.Sprintf("\nand %d more", hidden)
	}
	return ""
}

// Inert is text in one line in which nothing is a link, whoever reads it: "https://evil.example.com" becomes
// "https[:]//evil[.]example[.]com". Names of hosts stay what they are, since the mesh is made of them.
func Inert(text string) string {
	words := strings.Fields(Clean(text))
	for i, word := range words {
		if isLink(strings.ToLower(word)) {
			words[i] = strings.NewReplacer(":", "[:]", ".", "[.]").Replace(word)
		}
	}
	return strings.Join(words, " ")
}

// isLink tells what phones and pages make links of: an address with a scheme, www., a scheme that needs no slashes.
func isLink(word string) bool {
	return slices.ContainsFunc([]string{"://", "www.", "mailto:", "tel:", "sms:", "javascript:"}, func(part string) bool { return strings.Contains(word, part) })
}

// Runbooks are the links in runbook_url of the alerts that fire, each once, three at most.
func Runbooks(g *sdk.Group) []string {
	var found []string
	for _, a := range g.Firing() {
		link := Link(a.Annotations["runbook_url"])
		if link != "" && !slices.Contains(found, link) && len(found) < 3 {
			found = append(found, link)
		}
	}
	return found
}
