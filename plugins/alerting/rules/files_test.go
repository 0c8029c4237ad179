package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// Every mistake is told, with its file and line.
func TestMistakes(t *testing.T) {
	f := func(pattern string, want ...string) {
		t.Helper()
		files := read([]string{pattern})
		_, err := files.parse()
		if err == nil {
			t.Errorf("%s: no mistake", pattern)
			return
		}
		if diff := cmp.Diff(want, strings.Split(err.Error(), "; ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", pattern, diff)
		}
	}
	// expressions, labels, keys that do not belong, templates, names that come twice
	f("testdata/mistakes.yaml",
		`testdata/mistakes.yaml:5:15: group "one", rule 1, "Unclosed": could not parse expression: 1:5: parse error: unclosed left parenthesis`,
		`testdata/mistakes.yaml:6: group "one", rule 2, "Labelled": invalid label name: __name__`,
		`testdata/mistakes.yaml:9:17: group "one", rule 3, "r": invalid field 'for' in recording rule`,
		`testdata/mistakes.yaml:12: group "one", rule 4, "Template": annotation "summary": template: __alert_Template:1: unclosed action`,
		`testdata/mistakes.yaml:16: groupname: "one" is repeated in the same file`,
	)
	// an unknown key, and a wrong value
	f("testdata/unknown-key.yaml", "testdata/unknown-key.yaml:6: field sevrity not found in type rulefmt.Rule")
	f("testdata/wrong-duration.yaml",
		`testdata/wrong-duration.yaml:6: not a valid duration string: "soon"`,
	)
	// no YAML
	f("testdata/not-yaml.yaml", "testdata/not-yaml.yaml:2: found a tab character that violates indentation")
	// what would be left out without a word
	f("testdata/two-documents.yaml", "testdata/two-documents.yaml:1: only one YAML document is read: write all groups below one groups key")
	// a pattern that is none
	f("testdata/[", `files: "testdata/[": syntax error in pattern`)
	// no file
	here, err := filepath.Abs("testdata/none*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f("testdata/none*.yaml", `files: "testdata/none*.yaml" matches no file (looked for `+here+")")
}

func TestReadsEachFileOnce(t *testing.T) {
	files := read([]string{"testdata/m*.yaml", "./testdata/mistakes.yaml", "testdata/not-yaml.yaml"})
	if diff := cmp.Diff([]string{"testdata/mistakes.yaml", "testdata/not-yaml.yaml"}, files.files); diff != "" {
		t.Error(diff)
	}
}

func TestConfig(t *testing.T) {
	file := ruleFile(t, alwaysFires)
	f := func(config, want string) {
		t.Helper()
		_, _, err := decode(sdk.NewConfig("rules", "", []byte(config)))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
		if err != nil && !sdk.IsPermanent(err) {
			t.Errorf("%s: not permanent: %v", config, err)
		}
	}
	// what is needed
	f(`{"files": ["`+file+`"]}`, "")
	f(`{}`, `files: missing; set it to the rule files, such as ["rules/*.yaml"]`)
	// unknown keys
	f(`{"files": ["`+file+`"], "fils": 1}`, `unknown key "fils"`)
	// values
	f(`{"files": ["`+file+`"], "evaluation_interval": "10ms"}`, "evaluation_interval 10ms: must be at least 1s")
	f(`{"files": ["`+file+`"], "query_timeout": "0s"}`, "query_timeout 0s: must be more than 0s")
	f(`{"files": ["`+file+`"], "external_labels": {"a-b": "c"}}`, `external_labels: "a-b" is no name of a label`)
	f(`{"files": ["`+file+`"], "external_url": "here"}`, "external_url: want the URL of the console")
	// all at once, those of the files as well
	f(`{"files": ["testdata/mistakes.yaml"], "query_timeout": "0s", "external_url": ""}`, "external_url: want the URL of the console as people reach it, "+
		"such as https://lockkeeper.example.com; query_timeout 0s: must be more than 0s, for example 10s; testdata/mistakes.yaml:5:15: ")
}

// The example of the README is one that works.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"files", "evaluation_interval", "query_timeout", "external_labels", "external_url"} {
		if !strings.Contains(string(text), "          "+key+":") {
			t.Errorf("README.md does not say what %s is", key)
		}
	}
	families, err := newMetrics().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if !strings.Contains(string(text), "`"+family.GetName()) {
			t.Errorf("README.md does not say what %s is", family.GetName())
		}
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\ngroups:")
	rule, _, found := strings.Cut(rest, "```")
	if _, mistakes := parse("README.md", []byte("groups:"+rule)); !found || mistakes != nil {
		t.Errorf("the example of rules: %v", mistakes)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"mistakes", "unknown-key", "not-yaml", "two-documents"} {
		text, err := os.ReadFile("testdata/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(alwaysFires))
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, mistakes := parse("f", text)
		for _, one := range mistakes {
			if !strings.HasPrefix(one.Error(), "f:") {
				t.Errorf("%q", one)
			}
		}
		if len(mistakes) == 0 && groups == nil {
			t.Error("neither groups nor a mistake")
		}
	})
}
