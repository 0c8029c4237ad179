package alerting

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lines knows where in a file is what Alertmanager was shown of it.
type lines struct {
	original map[int]int    // by line of the text that Alertmanager saw; nil: it saw the file as it is
	named    map[string]int // where a value is last named
}

// newLines compares the document with the text that was made of it.
func newLines(document *yaml.Node, text []byte) *lines {
	l := &lines{original: map[int]int{}, named: map[string]int{}}
	var again yaml.Node
	if err := yaml.Unmarshal(text, &again); err == nil {
		l.pair(document, &again)
	}
	return l
}

func (l *lines) pair(was, is *yaml.Node) {
	if _, ok := l.original[is.Line]; !ok {
		l.original[is.Line] = was.Line
	}
	if was.Kind == yaml.ScalarNode {
		l.named[was.Value] = was.Line
	}
	for i := range min(len(was.Content), len(is.Content)) {
		l.pair(was.Content[i], is.Content[i])
	}
}

var (
	yamlLine     = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	unknownField = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	quoted       = regexp.MustCompile(`"([^"]+)"`)
)

// mistakes makes an error of one mistake a line out of one that YAML or Alertmanager has reported, each as file:line: what.
func mistakes(name string, err error, l *lines) error {
	var errs []error
	for text := range strings.SplitSeq(err.Error(), "\n") {
		text = strings.TrimSpace(text)
		if text == "yaml: unmarshal errors:" {
			continue
		}
		errs = append(errs, l.mistake(name, text))
	}
	return errors.Join(errs...)
}

func (l *lines) mistake(name, text string) error {
	line := 0
	if found := yamlLine.FindStringSubmatch(text); found != nil {
		line, _ = strconv.Atoi(found[1])
		if original, ok := l.original[line]; ok {
			line = original
		}
		text = text[len(found[0]):]
	} else if found := quoted.FindStringSubmatch(text); found != nil {
		line = l.named[found[1]]
	}
	if found := unknownField.FindStringSubmatch(text); found != nil {
		text = fmt.Sprintf("unknown key %q", found[1])
	}
	if line == 0 {
		return fmt.Errorf("%s: %s", name, text)
	}
	return fmt.Errorf("%s:%d: %s", name, line, text)
}

// resolved follows an alias.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// value is what a mapping has under a key; nil when there is none.
func value(mapping *yaml.Node, key string) *yaml.Node {
	if i := index(mapping, key); i >= 0 {
		return mapping.Content[i+1]
	}
	return nil
}

func remove(mapping *yaml.Node, key string) {
	if i := index(mapping, key); i >= 0 {
		mapping.Content = slices.Delete(mapping.Content, i, i+2)
	}
}

func index(mapping *yaml.Node, key string) int {
	for i := 0; mapping.Kind == yaml.MappingNode && i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}
