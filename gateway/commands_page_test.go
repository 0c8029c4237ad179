package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// COMMANDS.md is what the commands say now.
func TestCommandsPage(t *testing.T) {
	t.Setenv("LOCKKEEPER_URL", "") // it would be the default of --url
	page := commandsPage()
	if *update {
		if err := os.WriteFile("COMMANDS.md", []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	checked, err := os.ReadFile("COMMANDS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(checked) != page {
		t.Error("COMMANDS.md is not what the commands say: make reference")
	}
}

// commandsPage is one with all commands: what their --help says.
func commandsPage() string {
	var page strings.Builder
	page.WriteString(`# Commands

What ` + "`--help`" + ` of each command says. This page is made from the commands by ` + "`make reference`" + `; every example in it is run by a test.
`)
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		cmd.InitDefaultHelpFlag()
		fmt.Fprintf(&page, "\n## %s\n\n", cmd.CommandPath())
		if cmd.Runnable() && cmd.Long != "" {
			fmt.Fprintf(&page, "%s\n\n", textBlock(cmd.Long))
		} else {
			fmt.Fprintf(&page, "%s.\n\n", cmd.Short)
		}
		if cmd.HasSubCommands() {
			for _, sub := range cmd.Commands() {
				fmt.Fprintf(&page, "- [`%s`](#%s) %s\n", sub.CommandPath(), strings.ReplaceAll(sub.CommandPath(), " ", "-"), lowerFirst(sub.Short))
			}
			page.WriteString("\n")
		}
		fmt.Fprintf(&page, "```sh\n%s\n```\n", unindent(cmd.Example))
		if flags := cmd.LocalFlags().FlagUsagesWrapped(140); flags != "" && !cmd.HasSubCommands() {
			fmt.Fprintf(&page, "\n`%s`\n\n```text\n%s```\n", cmd.UseLine(), flags)
		}
		for _, sub := range cmd.Commands() {
			add(sub)
		}
	}
	add(newRootCommand())
	return page.String()
}

// textBlock keeps the lines of a help text: what is indented there is code.
func textBlock(text string) string {
	return strings.NewReplacer("\n  ", "\n    ").Replace(strings.TrimSpace(text))
}

func unindent(example string) string {
	lines := strings.Split(strings.Trim(example, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

func lowerFirst(text string) string {
	if text == "" {
		return text
	}
	return strings.ToLower(text[:1]) + text[1:]
}
