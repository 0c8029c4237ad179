package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

const (
	completionTimeout = 250 * time.Millisecond // for a gateway to say what there is; then nothing is offered
	mostOffered       = 500
)

func newCompletionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash | zsh | fish",
		Short: "Print what has a shell complete commands, flags, and names of a running gateway",
		Long: `Print a script that has a shell complete commands and flags, and the names that a running gateway knows: subjects, IDCs, plugins. The gateway is the one
of LOCKKEEPER_URL or --url; without one only the names are missing.

  bash: echo 'source <(lockkeeper completion bash)' >> ~/.bashrc
  zsh:  lockkeeper completion zsh > "${fpath[1]}/_lockkeeper"
  fish: lockkeeper completion fish > ~/.config/fish/completions/lockkeeper.fish`,
		Example:   "  lockkeeper completion bash",
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("say which shell: lockkeeper completion bash, zsh or fish")
			}
			out := cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return failed(completeBash(cmd.Root(), out))
			case "zsh":
				return failed(cmd.Root().GenZshCompletion(out))
			case "fish":
				return failed(cmd.Root().GenFishCompletion(out, true))
			}
			return fmt.Errorf("%q is not a shell that is known: bash, zsh or fish", args[0])
		},
	}
}

// bashWords is what the script needs of the package bash-completion, for where that is not installed: the words of the line, with those put together
// that bash has cut at = and :.
const bashWords = `
if ! declare -F _init_completion _get_comp_words_by_ref >/dev/null 2>&1; then
_get_comp_words_by_ref()
{
    local i joined=0
    words=() cword=0
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        if [[ $i -gt 1 && ( ${COMP_WORDS[i]} == [=:]* || $joined == 1 ) ]]; then
            words[${#words[@]}-1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
        joined=0
        [[ ${COMP_WORDS[i]} == *[=:] ]] && joined=1
        [[ $i -eq $COMP_CWORD ]] && cword=$((${#words[@]} - 1))
    done
    cur=${words[cword]}
    prev=${words[cword > 0 ? cword - 1 : 0]}
}
fi
`

func completeBash(root *cobra.Command, out io.Writer) error {
	if err := root.GenBashCompletionV2(out, true); err != nil {
		return err
	}
	_, err := io.WriteString(out, bashWords)
	return err
}

// offer is what may stand at a place of a command line.
type offer func(ctx context.Context, begun string) []string

// special are the characters of which a shell makes something. What several words begin with alike bash puts into the line as it is, and the script
// evaluates the line when more is asked for: a gateway that lies must not have a command run by that.
const special = " \t\"'`$\\;&|<>(){}!#"

// offered are those of the words that go on what was begun, and that a shell takes for nothing but words.
func offered(begun string, words []string) []cobra.Completion {
	words = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(words))), func(w string) bool {
		return !strings.HasPrefix(w, begun) || w != printable(w) || strings.ContainsAny(w, special) || strings.HasPrefix(w, "-") || strings.HasPrefix(w, "~")
	})
	return words[:min(len(words), mostOffered)]
}

// completes is an argument's completion. Of a command that takes one argument only the first is completed.
func completes(one bool, what offer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if one && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		return offered(begun, what(ctx, begun)), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag completes a flag's value. What ends with = goes on.
func completeFlag(cmd *cobra.Command, flag string, what offer) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		words, directive := completes(false, what)(cmd, nil, begun)
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasSuffix(w, "=") }) {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return words, directive
	}) // fails only for a flag that is not there, which the test of all commands finds
}

// words are always the same.
func words(words ...string) offer { return func(context.Context, string) []string { return words } }

// first is the gateway that is asked for names: completion needs one, and quickly.
func (g *remotes) first() *remote {
	one := g.access
	if len(g.urls) > 0 {
		one.url = strings.TrimSpace(g.urls[0])
	}
	return &one
}

// subjects are those whose names begin so.
func (g *remotes) subjects(ctx context.Context, begun string) (names []string) {
	var state failoverState
	if _, err := g.first().read(ctx, "/api/v1/failover", url.Values{"subject": {begun}}, &state); err != nil {
		return nil
	}
	for i := range state.Subjects {
		names = append(names, state.Subjects[i].Subject)
	}
	return names
}

// held are the subjects of holds.
func (g *remotes) held(ctx context.Context, _ string) (names []string) {
	var state struct{ Holds []failover.Hold }
	if _, err := g.first().read(ctx, "/api/v1/failover", url.Values{"subject": {"-"}}, &state); err != nil { // no subject begins so
		return nil
	}
	for _, h := range state.Holds {
		names = append(names, h.Subject)
	}
	return names
}

// idcs are the names of the IDCs.
func (g *remote) idcs(ctx context.Context, _ string) []string {
	var serving struct{ IDCs map[string]struct{} }
	if _, err := g.read(ctx, "/api/v1/serving", nil, &serving); err != nil {
		return nil
	}
	return slices.Collect(maps.Keys(serving.IDCs))
}

// shares are the IDCs, to be given a share: "idc1=".
func (g *remotes) shares(ctx context.Context, begun string) (names []string) {
	for _, name := range g.first().idcs(ctx, begun) {
		names = append(names, name+"=")
	}
	return names
}

// plugins are the names of the plugins of a kind; "": of all.
func (g *remote) plugins(kind string) offer {
	return func(ctx context.Context, _ string) (names []string) {
		var state pluginsState
		if _, err := g.read(ctx, "/api/v1/plugins", nil, &state); err != nil {
			return nil
		}
		for i := range state.Plugins {
			if p := &state.Plugins[i]; kind == "" || p.Kind == kind {
				names = append(names, p.Name)
			}
		}
		return names
	}
}

// explainable are response flags, to be added to those that are there, and the names that the gateway answers.
func (g *remote) explainable(ctx context.Context, begun string) (names []string) {
	names = flagsAfter(ctx, begun)
	var state struct {
		Zones []struct{ Names []struct{ Name string } }
	}
	if _, err := g.read(ctx, "/api/v1/dns", nil, &state); err != nil {
		return names
	}
	for _, z := range state.Zones {
		for _, n := range z.Names {
			names = append(names, strings.TrimSuffix(n.Name, "."))
		}
	}
	return names
}

// flagsAfter are response flags behind those that were begun with, as in UF,URX.
func flagsAfter(_ context.Context, begun string) (names []string) {
	before := begun[:strings.LastIndex(begun, ",")+1]
	for _, flag := range flagNames(mesh.Explanations()) {
		if flag != "-" && !strings.Contains(","+before, ","+flag+",") {
			names = append(names, before+flag)
		}
	}
	return names
}
