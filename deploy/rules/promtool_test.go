package rules

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// promtool finds Prometheus's own tool. Without it the test is skipped, unless LOCKKEEPER_REQUIRE names it.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.cache/tools/promtool")
	require.NoError(t, err)
	if _, err := os.Stat(path); err != nil {
		if slices.Contains(strings.Split(os.Getenv("LOCKKEEPER_REQUIRE"), ","), "promtool") {
			t.Fatal("needs .cache/tools/promtool: make promtool")
		}
		t.Skip("needs .cache/tools/promtool: make promtool")
	}
	return path
}

func TestPromtoolChecksRules(t *testing.T) {
	args := []string{"check", "rules"}
	for file := range pack(t) {
		args = append(args, file)
	}
	output, err := exec.CommandContext(t.Context(), promtool(t), args...).CombinedOutput()
	require.NoError(t, err, string(output))
}

func TestPromtoolTestsRules(t *testing.T) {
	tool := promtool(t)
	tests, err := filepath.Glob("tests/*.yaml")
	require.NoError(t, err)
	for _, test := range tests {
		t.Run(filepath.Base(test), func(t *testing.T) {
			t.Parallel()
			output, err := exec.CommandContext(t.Context(), tool, "test", "rules", test).CombinedOutput()
			require.NoError(t, err, string(output))
		})
	}
}

// Each condition of each alert inverted, each alert without its `for`, and each recorded value doubled: a unit test has to fail.
func TestUnitTestsCanFail(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the unit tests of each rule some times")
	}
	tool, all := promtool(t), pack(t)
	each(all, func(file string, rule *rulefmt.Rule) {
		original := *rule
		for _, m := range mutants(t, original) {
			*rule = m.rule
			changed, err := yaml.Marshal(all[file])
			require.NoError(t, err)
			*rule = original
			tests := testsOf(t, file, rule.Alert+rule.Record)
			t.Run(rule.Alert+rule.Record+"/"+m.what, func(t *testing.T) {
				t.Parallel()
				require.True(t, caught(t, tool, tests, file, changed), "no unit test fails for:\n%s", m.rule.Expr)
			})
		}
	})
}

// caught tells whether one of the unit tests fails while a file's content is another.
func caught(t *testing.T, tool string, tests []unitTest, file string, content []byte) bool {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(".")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), content, 0o600))
	for _, test := range tests {
		var names []string
		for _, group := range test.groups {
			names = append(names, regexp.QuoteMeta(group))
		}
		run := "^(" + strings.Join(names, "|") + ")$"
		command := exec.CommandContext(t.Context(), tool, "test", "rules", "--run", run, filepath.Join(dir, test.file))
		command.Env = append(os.Environ(), "GOGC=400") // a third less work
		output, err := command.CombinedOutput()
		if err != nil {
			require.Contains(t, string(output), "exp:", "it fails for another reason")
			return true
		}
	}
	return false
}

type mutant struct {
	what string
	rule rulefmt.Rule
}

// mutants are the wrong rules that a rule could be.
func mutants(t *testing.T, rule rulefmt.Rule) (all []mutant) {
	t.Helper()
	if rule.Record != "" {
		doubled := rule
		doubled.Expr = "2 * (" + rule.Expr + ")"
		return []mutant{{"doubled", doubled}}
	}
	if rule.For > 0 {
		hasty := rule
		hasty.For = 0
		all = append(all, mutant{"at once", hasty})
	}
	for n := 0; ; n++ {
		expr, err := promQL().ParseExpr(rule.Expr)
		require.NoError(t, err)
		what := invert(expr, n)
		if what == "" {
			require.Positive(t, n, "%s compares nothing", rule.Alert)
			return all
		}
		inverted := rule
		inverted.Expr = expr.String()
		all = append(all, mutant{fmt.Sprintf("%d %s", n, what), inverted})
	}
}

// invert changes the operator of an expression's nth condition into its opposite, and says how; "" if there is no nth.
func invert(expr parser.Expr, n int) (what string) {
	opposite := map[parser.ItemType]parser.ItemType{
		parser.GTR: parser.LTE, parser.LSS: parser.GTE, parser.EQLC: parser.NEQ, parser.LAND: parser.LUNLESS, parser.LUNLESS: parser.LAND,
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		binary, ok := node.(*parser.BinaryExpr)
		if !ok || opposite[binary.Op] == 0 {
			return nil
		}
		if n == 0 {
			to := opposite[binary.Op]
			what = binary.Op.String() + " becomes " + to.String()
			binary.Op = to
		}
		n--
		return nil
	})
	return what
}
