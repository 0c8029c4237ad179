package mesh

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const flagsPageHead = `# Response flags

What Envoy's response flags mean, what usually causes them and what to look at. ` + "`lockkeeper explain UF,URX`" + ` says the same on the command
line; it takes values of response_code_details, too. This page is written from the table that the gateway itself uses
(` + "`go test ./gateway/mesh -run FlagsPage -update`" + `).

Lockkeeper reads flags as a set: the label ` + "`response_flags`" + ` has them sorted (` + "`UF,URX`" + `), and ` + "`lockkeeper_response_flags_total{flag}`" + ` counts each one.
In the texts CLUSTER is an upstream cluster; stats and pages are those of Envoy's admin interface (in Istio's pods ` + "`localhost:15000`" + `).
`

// FLAGS.md is written from the table.
func TestFlagsPage(t *testing.T) {
	got := flagsPage()
	if *update {
		if err := os.WriteFile("FLAGS.md", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("FLAGS.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("FLAGS.md is not what the table says (go test ./gateway/mesh -run FlagsPage -update writes it):\n%s", diff)
	}
}

// flagsPage renders the table as Markdown.
func flagsPage() string {
	var page strings.Builder
	page.WriteString(flagsPageHead)
	page.WriteString("\n| flag | name | class | fails | code | meaning |\n|---|---|---|---|---|---|\n")
	for _, e := range Explanations() {
		fails := "no"
		if e.Failure {
			fails = "yes"
		}
		fmt.Fprintf(&page, "| [%s](#%s) | %s | %s | %s | %s | %s |\n", e.Flag, strings.ToLower(e.Flag), e.Name, e.Class, fails, e.Code, plain(e.Meaning))
	}
	for _, e := range append(Explanations(), noFlag) {
		writeFlag(&page, e)
	}
	page.WriteString("\n## Together\n\n| flags | meaning |\n|---|---|\n")
	for _, note := range together {
		fmt.Fprintf(&page, "| `%s` | %s |\n", strings.Join(note.Flags, ","), plain(note.Meaning))
	}
	page.WriteString("\n## response_code_details\n\nEach row holds for the values that begin so; the longest beginning counts.\n\n| details | flag | code | meaning |\n|---|---|---|---|\n")
	for _, d := range Details() {
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", d.Details, d.Flag, d.Code, plain(d.Meaning))
	}
	return page.String()
}

// plain keeps Markdown from reading http.*.no_route as emphasis.
func plain(text string) string { return strings.ReplaceAll(text, "*", `\*`) }

func writeFlag(page *strings.Builder, e Explanation) {
	heading := e.Flag
	if e.Flag == noFlag.Flag {
		heading = "No flag"
	}
	fmt.Fprintf(page, "\n## %s\n\n", heading)
	if e.Class != "" {
		fmt.Fprintf(page, "*%s*, class %s. ", e.Name, e.Class)
	}
	fmt.Fprintf(page, "%s\n", plain(e.Meaning))
	list := func(title string, items []string) {
		if len(items) == 0 {
			return
		}
		fmt.Fprintf(page, "\n%s:\n", title)
		for _, item := range items {
			fmt.Fprintf(page, "- %s\n", plain(item))
		}
	}
	list("Usual causes", e.Causes)
	list("Check", e.Check)
	fmt.Fprintf(page, "\nCode: %s. Upstream: %s. Details: `%s`.\n", e.Code, e.Upstream, strings.Join(e.Details, "`, `"))
}
