package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// ruleSet is what the rule files held when they were read, all of them without a mistake. It is the rules.GroupLoader of its
// own files, so that the manager gets what was checked.
type ruleSet struct {
	files  []string // in order
	groups map[string]*rulefmt.RuleGroups
	sum    [sha256.Size]byte // of the texts
}

// texts are the rule files as they are.
type texts struct {
	files    []string // in order
	text     map[string][]byte
	mistakes []error
}

// read reads the files that the patterns match. A pattern that matches nothing is a mistake: a directory that is not mounted
// must not end every alert.
func read(patterns []string) (t texts) {
	t.files, t.mistakes = expand(patterns)
	t.text = map[string][]byte{}
	for _, file := range t.files {
		var err error
		if t.text[file], err = os.ReadFile(file); err != nil {
			t.mistakes = append(t.mistakes, err)
		}
	}
	return t
}

// sum tells texts apart.
func (t *texts) sum() (sum [sha256.Size]byte) {
	hash := sha256.New()
	for _, file := range t.files {
		fmt.Fprintf(hash, "%q%q", file, t.text[file])
	}
	fmt.Fprintf(hash, "%q", t.mistakes)
	hash.Sum(sum[:0])
	return sum
}

// parse makes rules of them. An error has every mistake, each with its file and line.
func (t *texts) parse() (*ruleSet, error) {
	set := &ruleSet{files: t.files, groups: map[string]*rulefmt.RuleGroups{}, sum: t.sum()}
	mistakes := slices.Clone(t.mistakes)
	for _, file := range t.files {
		groups, wrong := parse(file, t.text[file])
		mistakes = append(mistakes, wrong...)
		set.groups[file] = groups
	}
	if len(mistakes) == 0 {
		return set, nil
	}
	told := make([]string, len(mistakes))
	for i, one := range mistakes {
		told[i] = one.Error()
	}
	return nil, errors.New(strings.Join(told, "; "))
}

func expand(patterns []string) (files []string, mistakes []error) {
	if len(patterns) == 0 {
		return nil, []error{errors.New(`files: missing; set it to the rule files, such as ["rules/*.yaml"]`)}
	}
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		switch {
		case err != nil:
			mistakes = append(mistakes, fmt.Errorf("files: %q: %w", pattern, err))
		case len(matches) == 0:
			here, _ := filepath.Abs(pattern)
			mistakes = append(mistakes, fmt.Errorf("files: %q matches no file (looked for %s)", pattern, here))
		}
		for _, match := range matches {
			files = append(files, filepath.Clean(match))
		}
	}
	slices.Sort(files)
	return slices.Compact(files), mistakes
}

// parse reads one file. Its errors start with file:line.
func parse(file string, text []byte) (*rulefmt.RuleGroups, []error) {
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, promQL(), slog.New(slog.DiscardHandler))
	var mistakes []error
	mistake := func(line int, text string) {
		if text = strings.TrimPrefix(text, "line "); line > 0 {
			text = fmt.Sprintf("%d: %s", line, text)
		}
		if text = file + ":" + text; !slices.ContainsFunc(mistakes, func(e error) bool { return e.Error() == text }) {
			mistakes = append(mistakes, errors.New(text))
		}
	}
	for _, err := range errs {
		var wrongTypes *yaml.TypeError
		told := strings.TrimPrefix(err.Error(), "yaml: ")
		switch {
		case errors.As(err, &wrongTypes):
			for _, one := range wrongTypes.Errors {
				mistake(0, one)
			}
		case startsWithLine(told):
			mistake(0, told)
		default: // Prometheus tells no line of these
			mistake(lineOf(text, err), strings.TrimPrefix(told, "0:0: "))
		}
	}
	if len(mistakes) == 0 && moreThanOne(text) {
		mistake(1, "only one YAML document is read: write all groups below one groups key")
	}
	return groups, mistakes
}

func startsWithLine(told string) bool {
	told = strings.TrimPrefix(told, "line ")
	return told != "" && told[0] >= '1' && told[0] <= '9'
}

func promQL() parser.Parser { return parser.NewParser(parser.Options{}) }

// moreThanOne tells whether text has a second YAML document, which Prometheus would leave out.
func moreThanOne(text []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document any
	_ = decoder.Decode(&document)
	return !errors.Is(decoder.Decode(&document), io.EOF)
}

// lineOf is the line that err is likely to be about; 1 if it cannot be told.
func lineOf(text []byte, err error) int {
	var file struct {
		Groups []yaml.Node
	}
	_ = yaml.Unmarshal(text, &file)
	var wrong *rulefmt.Error
	before := map[string]bool{}
	for _, node := range file.Groups {
		var group struct {
			Name  string
			Rules []yaml.Node
		}
		_ = node.Decode(&group)
		switch {
		case errors.As(err, &wrong):
			if group.Name == wrong.Group && wrong.Rule >= 1 && wrong.Rule <= len(group.Rules) {
				return group.Rules[wrong.Rule-1].Line
			}
		case group.Name == "" && strings.Contains(err.Error(), "Groupname must not be empty"),
			before[group.Name] && strings.Contains(err.Error(), fmt.Sprintf("groupname: \"%s\" is repeated", group.Name)):
			return node.Line
		}
		before[group.Name] = true
	}
	// such as: not a valid duration string: "soon"
	if parts := strings.Split(err.Error(), `"`); len(parts) == 3 && parts[1] != "" {
		if before, _, found := strings.Cut(string(text), ": "+parts[1]); found {
			return strings.Count(before, "\n") + 1
		}
	}
	return 1
}

// Load returns the groups of one of the files.
func (s *ruleSet) Load(file string, _ bool, _ model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	return s.groups[file], nil
}

// Parse reads a PromQL expression.
func (s *ruleSet) Parse(query string) (parser.Expr, error) { return promQL().ParseExpr(query) }
