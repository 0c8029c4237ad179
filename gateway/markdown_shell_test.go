package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// shellCommand is one that Markdown shows.
type shellCommand struct {
	file        string
	line        int
	environment [][2]string // what is set before it, on its line
	words       []string
	inline      bool // within a line of prose: it may be the beginning of a command only
}

// shellCommands are all simple commands of a block of shell.
func shellCommands(b block) (all []shellCommand, err error) {
	script, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(b.text), "")
	if err != nil {
		return nil, err
	}
	variables := &expand.Config{
		Env:      expand.FuncEnviron(func(name string) string { return name }),
		CmdSubst: func(io.Writer, *syntax.CmdSubst) error { return nil },
	}
	literal := func(w *syntax.Word) string {
		text, wrong := expand.Literal(variables, w)
		if wrong != nil {
			err = wrong
		}
		return text
	}
	syntax.Walk(script, func(node syntax.Node) bool {
		command := shellCommand{file: b.file}
		switch node := node.(type) {
		case *syntax.DeclClause: // export
			command.words = []string{node.Variant.Value}
			for _, assign := range node.Args {
				command.words = append(command.words, assign.Name.Value)
			}
		case *syntax.CallExpr:
			for _, assign := range node.Assigns {
				command.environment = append(command.environment, [2]string{assign.Name.Value, literal(assign.Value)})
			}
			for _, word := range node.Args {
				command.words = append(command.words, literal(word))
			}
		}
		if len(command.words) > 0 {
			command.line = b.line + int(node.Pos().Line()) - 1
			all = append(all, command)
		}
		return true
	})
	return all, err
}

// notation is what prose and usage lines have in commands, and no shell has.
var notation = regexp.MustCompile(`…|[\[\]<>]`)

// proseCommands are those that code within a line begins with: `lockkeeper failover hold | eject` are two.
func proseCommands(span block) (all []shellCommand, err error) {
	program, rest, _ := strings.Cut(span.text, " ")
	if _, known := programs()[program]; !known || rest == "" {
		return nil, nil
	}
	parts := []string{strings.ReplaceAll(span.text, `\|`, "|")} // as it is in a table
	if program == "lockkeeper" {
		parts = strings.Split(parts[0], "|")
	}
	before := ""
	for i, text := range parts {
		if program == "lockkeeper" {
			text, _, _ = strings.Cut(notation.ReplaceAllString(strings.TrimSpace(text), "\x00"), "\x00")
		}
		if i == 0 {
			before = text[:strings.LastIndex(text, " ")+1]
		} else {
			text = before + text
		}
		commands, err := shellCommands(block{file: span.file, line: span.line, text: text})
		if err != nil {
			return nil, err
		}
		for _, c := range commands {
			c.inline = true
			all = append(all, c)
		}
	}
	return all, nil
}

// markdownCommands are all commands that the Markdown has people run, but those of blocks that a test runs as they stand.
func markdownCommands(t *testing.T) (all []shellCommand) {
	t.Helper()
	blocks, spans := blocks(t)
	for _, b := range blocks {
		if b.language != "sh" {
			continue
		}
		commands, err := shellCommands(b)
		require.NoError(t, err, "%s:%d", b.file, b.line)
		_, isHeld := b.held()
		for _, c := range commands {
			if !isHeld || c.own() {
				all = append(all, c)
			}
		}
	}
	for _, span := range spans {
		if span.file == "gateway/COMMANDS.md" { // usage, as the commands themselves tell it
			continue
		}
		commands, err := proseCommands(span)
		require.NoError(t, err, "%s:%d", span.file, span.line)
		all = append(all, commands...)
	}
	return all
}

// Each command in the Markdown is one that a test runs, or at least one that its program would take: with the flags, files and names that it has.
func TestMarkdownCommands(t *testing.T) {
	checks := programs()
	own, others := 0, 0
	for _, c := range markdownCommands(t) {
		program, known := checks[c.words[0]]
		err := fmt.Errorf("nobody checks what %s is told: see programs()", c.words[0])
		if known {
			err = nil
		}
		if known && program.check != nil {
			err = program.check(t, c)
		}
		if err != nil {
			t.Errorf("%s:%d: %q: %v", c.file, c.line, c.words, err)
		}
		if c.own() {
			own++
		} else {
			others++
		}
	}
	for _, p := range checks {
		if p.test != "" {
			requireTest(t, p.test)
		}
	}
	t.Logf("%d commands of ours, %d others", own, others)
	require.Greater(t, own, 100)
}

// What is wrong in a command is found.
func TestMarkdownMistakes(t *testing.T) {
	f := func(text string, want string) {
		t.Helper()
		commands, err := shellCommands(block{text: text})
		if len(commands) > 0 {
			c := commands[len(commands)-1]
			program, known := programs()[c.words[0]]
			if !known {
				err = fmt.Errorf("nobody checks it")
			} else {
				err = program.check(t, c)
			}
		}
		require.ErrorContains(t, err, want, text)
	}
	f("lockkeeper tail --erors", "unknown flag: --erors")
	f("lockkeeper failover bogus", "there is no such command")
	f("for x in 1; do lockkeeper bogus; done", "unknown command")
	f("lockkeeper explain UF | rm -rf /", "nobody checks it")
	f("lockkeeper explain 'UF", "without closing quote")
	f("SHARDS=x lockkeeper validate --config gateway/testdata/mistakes.yaml", "receivers::envoy::series::foo")
	f("make bogus", "there is no target bogus")
	f("make demo DEMO_ARG=--once", "the Makefile does not read DEMO_ARG")
	f("bash .ci/bogus", "no such file")
	f("docker build --file deploy/Dockerfile .", "no such file")
	f(`docker run -v "$PWD/deploy/bogus:/x:ro" image`, "no such file")
	f("docker exec lockkeeper lockkeeper bogus", "unknown command")
	f("systemctl reload bogus", "no unit")
	f("export LOCKKEEPER_BOGUS=1", "nothing reads LOCKKEEPER_BOGUS")
	f("go test ./bogus", "no such file")
	f("go test -bench Bogus ./gateway/mesh", "no test fits")
}
