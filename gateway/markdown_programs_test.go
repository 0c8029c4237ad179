package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// program is what holds commands of a program right: a check, or a test that runs them.
type program struct {
	check func(t *testing.T, c shellCommand) error
	test  string
}

// programs are those that Markdown has people run.
func programs() map[string]program {
	runs := func(test string) program { return program{test: test} }
	checks := func(check func(t *testing.T, c shellCommand) error) program { return program{check: check} }
	return map[string]program{
		"lockkeeper":     checks(checkOwn),
		"bin/lockkeeper": checks(checkOwn),
		"amtool":         runs("gateway TestAmtool"),
		"bash":           checks(checkFiles),
		"cp":             runs("deploy TestGrafanaREADME"),
		"curl":           runs("gateway TestMarkdownCurl"),
		"dig":            runs("gateway TestDelegation"),
		"docker":         checks(checkDocker),
		"export":         checks(checkExport),
		"go":             checks(checkGo),
		"helm":           runs("deploy TestHelmREADME"),
		"install":        runs("deploy TestSystemdREADME"),
		"ln":             runs("deploy TestSystemdREADME"),
		"make":           checks(checkMake),
		"mkdir":          runs("deploy TestGrafanaREADME"),
		"promtool":       runs("deploy/rules TestREADME"),
		"sysctl":         checks(checkSysctl),
		"systemctl":      checks(checkSystemctl),
	}
}

func (c shellCommand) own() bool { return filepath.Base(c.words[0]) == "lockkeeper" }

// checkOwn: the command and its flags are ours, and what it names of the repository's configurations is valid.
func checkOwn(t *testing.T, c shellCommand) error {
	if c.inline && strings.HasSuffix(c.words[len(c.words)-1], "--config") {
		c.words = c.words[:len(c.words)-1]
	}
	if err := parseCommand(c.words[1:], c.inline); err != nil {
		return err
	}
	args := []string{"validate"}
	for i, word := range c.words {
		if word != "--config" || c.inline {
			continue
		}
		file := filepath.Join("..", c.words[i+1])
		if _, err := os.Stat(file); err != nil {
			return nil // a file of the reader's
		}
		args = append(args, word, file)
	}
	if len(args) == 1 {
		return nil
	}
	for _, variable := range c.environment {
		t.Setenv(variable[0], variable[1])
	}
	if code, out, stderr := call(t, args...); code != 0 {
		return errors.New(out + stderr)
	}
	return nil
}

func parseCommand(args []string, beginning bool) error {
	cmd, rest, err := newRootCommand().Find(args)
	if err != nil {
		return err
	}
	if !cmd.HasParent() || cmd.HasSubCommands() && (len(rest) > 0 || !beginning) {
		return fmt.Errorf("there is no such command")
	}
	cmd.FParseErrWhitelist.UnknownFlags = false
	if err := cmd.ParseFlags(rest); err != nil {
		if errors.Is(err, pflag.ErrHelp) || beginning && strings.Contains(err.Error(), "flag needs an argument") {
			return nil
		}
		return err
	}
	if beginning {
		return nil
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// checkFiles: what looks like a file of the repository is one.
func checkFiles(_ *testing.T, c shellCommand) error {
	for _, word := range c.words[1:] {
		word, _, _ = strings.Cut(strings.TrimPrefix(word, "PWD/"), ":")
		if !regexp.MustCompile(`^(\.?[\w-]+/)+[\w.-]*$`).MatchString(word) {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", word)); err != nil && (strings.HasPrefix(word, "deploy/") || c.words[0] == "bash") {
			return err
		}
	}
	return nil
}

// checkMake: the Makefile has the targets, and reads the variables.
func checkMake(t *testing.T, c shellCommand) error {
	makefile := readFile(t, "../Makefile")
	for _, word := range c.words[1:] {
		name, _, variable := strings.Cut(word, "=")
		switch {
		case variable && !strings.Contains(makefile, "$("+name+")"):
			return fmt.Errorf("the Makefile does not read %s", name)
		case !variable && !strings.Contains(makefile, "\n"+name+":"):
			return fmt.Errorf("there is no target %s", name)
		}
	}
	return nil
}

// checkDocker: what it names of the repository is there, Docker's command line, where there is one, takes the flags, and what runs in the container is ours.
func checkDocker(t *testing.T, c shellCommand) error {
	if err := checkFiles(t, c); err != nil {
		return err
	}
	if c.words[1] == "exec" {
		return parseCommand(c.words[4:], false)
	}
	docker, err := exec.LookPath("docker")
	if err != nil || slices.Contains([]string{"compose", "buildx"}, c.words[1]) { // plugins of it
		return nil
	}
	out, err := exec.CommandContext(t.Context(), docker, append([]string{c.words[1], "--help"}, c.words[2:]...)...).CombinedOutput()
	if err != nil {
		return errors.New(string(out))
	}
	return nil
}

// checkExport: something reads the variable.
func checkExport(t *testing.T, c shellCommand) error {
	for _, name := range c.words[1:] {
		if !strings.Contains(commandsPage()+readFile(t, "remote.go"), name) {
			return fmt.Errorf("nothing reads %s", name)
		}
	}
	return nil
}

// checkGo: the package is there, and has what the command tests or measures.
func checkGo(_ *testing.T, c shellCommand) error {
	if len(c.words) < 3 || c.words[1] == "get" {
		return nil
	}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	run, bench := flags.String("run", "", ""), flags.String("bench", "", "")
	_, _, _, _ = flags.String("benchtime", "", ""), flags.String("o", "", ""), flags.Bool("v", false, ""), flags.Bool("update", false, "")
	for rest := c.words[2:]; len(rest) > 0; { // flags may follow packages
		if err := flags.Parse(rest); err != nil {
			return err
		}
		if flags.NArg() == 0 {
			break
		}
		rest = flags.Args()[1:]
		if err := hasTests(strings.TrimSuffix(flags.Arg(0), "/..."), c.words, *run, *bench); err != nil {
			return err
		}
	}
	return nil
}

func hasTests(folder string, words []string, run, bench string) error {
	for i, word := range words { // a pattern may stand behind the package
		if word == "-run" {
			run = words[i+1]
		}
	}
	_, err := os.Stat(filepath.Join("..", folder))
	if err != nil {
		if _, ofSDK := os.Stat(filepath.Join("../sdk", folder)); ofSDK != nil {
			return err
		}
	}
	pattern, kind := run, "Test"
	if bench != "" {
		pattern, kind = bench, "Benchmark"
	}
	if pattern == "" || pattern == "." {
		return nil
	}
	pattern, _, _ = strings.Cut(strings.Trim(pattern, "$"), "/")
	fits := regexp.MustCompile(`(?m)^func ` + kind + `\w*` + strings.TrimPrefix(pattern, kind))
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && fits.Match(text) {
			return nil
		}
	}
	return fmt.Errorf("no test fits %s", pattern)
}

// checkSysctl: the kernel has such settings. Which ones of them show depends on the network namespace.
func checkSysctl(t *testing.T, c shellCommand) error {
	keys := regexp.MustCompile(`(?m)^([a-z_.]+) ?=`)
	text := strings.Join(c.words[1:], "\n")
	if slices.Contains(c.words, "--system") {
		text = readFile(t, "../deploy/systemd/lockkeeper.sysctl.conf")
	}
	found := keys.FindAllStringSubmatch(text, -1)
	if len(found) == 0 {
		return fmt.Errorf("sets nothing")
	}
	for _, key := range found {
		if _, err := os.Stat(filepath.Dir(filepath.Join("/proc/sys", strings.ReplaceAll(key[1], ".", "/")))); err != nil {
			return err
		}
	}
	return nil
}

// checkSystemctl: the unit is ours, and can do that.
func checkSystemctl(_ *testing.T, c shellCommand) error {
	name := c.words[len(c.words)-1]
	if name == "daemon-reload" {
		return nil
	}
	unit, err := os.ReadFile(filepath.Join("../deploy/systemd", name+".service"))
	if err != nil {
		return fmt.Errorf("no unit: %w", err)
	}
	needs := map[string]string{"reload": "ExecReload=", "enable": "WantedBy="}[c.words[1]]
	if needs == "" || !strings.Contains(string(unit), needs) {
		return fmt.Errorf("the unit has no %s", needs)
	}
	return nil
}
