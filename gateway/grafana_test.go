package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

const (
	boardUnits  = "none short percent percentunit bytes Bps bps s ms µs d reqps rps wps ops iops cps pps bool bool_yes_no bool_on_off celsius hertz"
	boardPanels = "stat timeseries table heatmap state-timeline bargauge gauge text"
)

const runbookPages = "https://github.com/lockkeeper/lockkeeper/blob/main/"

// What is in the demo's list of panels that may be empty is there.
func TestEmptyPanelsExist(t *testing.T) {
	panels := map[string]bool{}
	for _, b := range readBoards(t) {
		for _, p := range b.Panels {
			panels[b.file+": "+p.Title] = true
		}
	}
	for panel := range emptyInTheDemo() {
		require.True(t, panels[panel], panel)
	}
}

func TestBoards(t *testing.T) {
	all, known := readBoards(t), knownMetrics(t)
	readme := readFile(t, filepath.Join(boardsDirectory, "README.md"))
	links, titles := map[string]bool{}, map[string]bool{}
	for _, b := range all {
		links["/d/"+b.UID] = true
	}
	for _, b := range all {
		for _, mistake := range b.mistakes(links, known) {
			t.Errorf("%s: %s", b.file, mistake)
		}
		if titles[b.Title] {
			t.Errorf("%s: another board has the title %q", b.file, b.Title)
		}
		titles[b.Title] = true
		if row := fmt.Sprintf("| [%s](%s) | %s |\n", b.Title, b.file, b.Description); !strings.Contains(readme, row) {
			t.Errorf("README.md has no row %s", row)
		}
	}
}

func TestBoardMistakes(t *testing.T) {
	b := readBoard(t, "testdata/boards/bad/mistakes.json")
	want := []string{
		`uid "mistakes": lockkeeper-mistakes`,
		"no description",
		`tag "lockkeeper" is missing: links between boards go by it`,
		"variable unused is not used",
		"variable many may be several: =~ instead of =",
		`panel "One": id 1 is there twice`,
		`panel "Two": overlaps another one`,
		`panel "Two": no unit of Grafana: ""`,
		`panel "Two": no panel of Grafana: "graph"`,
		`panel "Two": no description: what to do?`,
		`panel "Two": datasource is not ${datasource}`,
		`panel "Two": 1:5: parse error: unclosed left parenthesis`,
		`panel "Two": nobody writes "lockkeeper_nothing"`,
		`panel "Two": the query A is there twice`,
		"$datasource is no variable",
		"$bogus is no variable",
		"/d/lockkeeper-nowhere is no board",
		"deploy/rules/runbooks/Nothing.md is not there",
	}
	require.Equal(t, want, b.mistakes(map[string]bool{}, map[string]bool{"up": true}))
}

// mistakes are what can be told without a storage.
func (b *board) mistakes(links, known map[string]bool) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if name := "lockkeeper-" + strings.TrimSuffix(b.file, ".json"); b.UID != name {
		add("uid %q: %s", b.UID, name)
	}
	if b.Description == "" {
		add("no description")
	}
	if !slices.Contains(b.Tags, "lockkeeper") {
		add(`tag "lockkeeper" is missing: links between boards go by it`)
	}
	all = append(all, b.misusedVariables()...)
	ids, titles := map[int]bool{}, map[string]bool{}
	for i, p := range b.Panels {
		if ids[p.ID] {
			add("panel %q: id %d is there twice", p.Title, p.ID)
		}
		if titles[p.Title] {
			add("panel %q: the title is there twice", p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		if slices.ContainsFunc(b.Panels[:i], p.overlaps) {
			add("panel %q: overlaps another one", p.Title)
		}
		for _, mistake := range p.mistakes(known) {
			add("panel %q: %s", p.Title, mistake)
		}
	}
	return append(all, b.deadLinks(links)...)
}

// misusedVariables are those that nothing is chosen by, and those of several values that are taken for one.
func (b *board) misusedVariables() (all []string) {
	for _, v := range b.Templating.List {
		used := regexp.MustCompile(`\$\{?` + v.Name + `\b`)
		if !used.MatchString(b.text) {
			all = append(all, "variable "+v.Name+" is not used")
		}
		if equals := regexp.MustCompile(`[^=!]=\\"\$\{?` + v.Name + `\b`); (v.Multi || v.IncludeAll) && equals.MatchString(b.text) {
			all = append(all, "variable "+v.Name+" may be several: =~ instead of =")
		}
	}
	return all
}

func (p *boardPanel) overlaps(q *boardPanel) bool {
	a, b := p.GridPos, q.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

func (p *boardPanel) mistakes(known map[string]bool) (all []string) {
	if p.Type == "row" {
		return nil
	}
	if unit := p.FieldConfig.Defaults.Unit; !slices.Contains(strings.Fields(boardUnits), unit) {
		all = append(all, fmt.Sprintf("no unit of Grafana: %q", unit))
	}
	if !slices.Contains(strings.Fields(boardPanels), p.Type) {
		all = append(all, fmt.Sprintf("no panel of Grafana: %q", p.Type))
	}
	if p.Description == "" {
		all = append(all, "no description: what to do?")
	}
	if p.Datasource != (boardSource{"prometheus", "${datasource}"}) {
		all = append(all, "datasource is not ${datasource}")
	}
	queries := map[string]bool{}
	for _, target := range p.Targets {
		expr := regexp.MustCompile(`\$(\{?)(__rate_interval|__interval|__range)(\}?)`).ReplaceAllString(target.Expr, "1m")
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		all = append(all, unknownMetrics(parsed, known)...)
		if queries[target.RefID] {
			all = append(all, "the query "+target.RefID+" is there twice")
		}
		queries[target.RefID] = true
	}
	return all
}

// unknownMetrics are those that nobody writes, of the names that are this project's to know. Others', such as envoy_*, show in the tests
// with real ones.
func unknownMetrics(expr parser.Expr, known map[string]bool) (all []string) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok || !regexp.MustCompile(`^(istio|lockkeeper|probe)_|:`).MatchString(selector.Name) {
			return nil
		}
		name := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(selector.Name, "")
		if !known[name] && !known[selector.Name] {
			all = append(all, fmt.Sprintf("nobody writes %q", selector.Name))
		}
		return nil
	})
	return all
}

// knownMetrics are those that the components' pages tell of, and those that the rules record.
func knownMetrics(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	add := func(pattern, regex string) {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			for _, match := range regexp.MustCompile(regex).FindAllStringSubmatch(readFile(t, file), -1) {
				names[match[1]] = true
			}
		}
	}
	for _, pattern := range []string{"*/README.md", "../probes/README.md", "../xds/README.md", "../plugins/*/*/README.md"} {
		add(pattern, "`((?:istio|lockkeeper|probe)_[a-z_]+)")
	}
	add("../deploy/rules/*.yaml", `(?m)^ *- record: (\S+)$`)
	return names
}

// deadLinks are uses of variables that there are not, and links to boards and runbooks that there are not.
func (b *board) deadLinks(links map[string]bool) (all []string) {
	var names []string
	for _, v := range b.Templating.List {
		names = append(names, v.Name)
	}
	for _, match := range variableUse.FindAllStringSubmatch(b.text, -1) {
		name := match[1] + match[2]
		if !slices.Contains(names, name) && !strings.HasPrefix(name, "__") && !regexp.MustCompile(`^\d+$`).MatchString(name) {
			all = append(all, "$"+name+" is no variable")
		}
	}
	for _, link := range regexp.MustCompile(`/d/[\w-]+`).FindAllString(b.text, -1) {
		if !links[link] {
			all = append(all, link+" is no board")
		}
	}
	for _, match := range regexp.MustCompile(regexp.QuoteMeta(runbookPages)+`([^\s"#)]+)`).FindAllStringSubmatch(b.text, -1) {
		if _, err := os.Stat(filepath.Join("..", match[1])); err != nil {
			all = append(all, match[1]+" is not there")
		}
	}
	return all
}

// Every board has the same links and, before its own, the same variables.
func TestBoardsShareTheirBeginning(t *testing.T) {
	type beginning struct {
		SchemaVersion int
		Links         json.RawMessage
		Templating    struct{ List []json.RawMessage }
	}
	var first string
	for _, b := range readBoards(t) {
		var its beginning
		require.NoError(t, json.Unmarshal([]byte(b.text), &its))
		require.Greater(t, len(its.Templating.List), 1, b.file)
		text := fmt.Sprintf("%d %s %s", its.SchemaVersion, its.Links, its.Templating.List[:2])
		if first == "" {
			first = text
		}
		require.Equal(t, first, text, b.file)
	}
}

// demoChoices: who serves, and who calls.
func demoChoices() []map[string]string {
	return []map[string]string{{"namespace": "demo", "workload": "backend-v1"}, {"namespace": "demo", "workload": "frontend-v1"}}
}

// emptyInTheDemo are panels without data there, and why.
func emptyInTheDemo() map[string]string {
	const (
		history = "the rules have to look back for a day at least"
		well    = "nothing of the kind happens there"
	)
	return map[string]string{
		"coverage.json: What did Envoy drop itself?":     well,
		"failover.json: Alarms":                          well,
		"failover.json: How fast do Envoys hear of it?":  "no Envoy takes its endpoints from the gateway there",
		"failover.json: When do certificates end?":       "no target speaks TLS there",
		"funnel.json: Expected and real, by hop":         history,
		"funnel.json: How much is missing at a hop?":     history,
		"funnel.json: How much is missing at a service?": history,
		"idcs.json: What does a shift ask for?":          "there is no shift",
		"itself.json: What is dropped?":                  well,
		"itself.json: Which calls fail?":                 well,
		"itself.json: Which log records?":                well,
		"itself.json: Which plugins restart?":            well,
		"pools.json: Connections that overflow":          well,
	}
}
