package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// explained is what `lockkeeper explain` answers; -o json prints it as it is.
type explained struct {
	Flags    []mesh.Explanation `json:"flags"`
	Together []mesh.Together    `json:"together,omitempty"`
	Details  []mesh.Detail      `json:"details,omitempty"`
}

func newExplainCommand() *cobra.Command {
	var gateway remote
	var format output
	cmd := &cobra.Command{
		Use:   "explain [FLAGS | DETAILS | NAME]…",
		Short: "Say what Envoy's response flags mean, or why a DNS name is answered as it is",
		Long: `Say what Envoy's response flags mean, what usually causes them, and what to check. Their order and case do not matter;
"-" is the entry without flags. Values of response_code_details are explained, too. Without arguments: all flags, a line each.

Of a DNS name (a word with a dot) a running gateway says how its dns extension answers, and why.`,
		Example: `  lockkeeper explain UF,URX
  lockkeeper explain - 'upstream_reset_before_response_started{connection_timeout}'
  lockkeeper explain -o json uo
  lockkeeper explain api.gslb.example.com --url http://gateway.test:7070`,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			if len(args) > 0 && !slices.ContainsFunc(args, func(word string) bool { return !isDNSName(word) }) {
				return failed(explainNames(cmd.Context(), &gateway, args, asJSON, cmd.OutOrStdout()))
			}
			return explainFlags(args, asJSON, cmd.OutOrStdout())
		},
	}
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	cmd.ValidArgsFunction = completes(false, gateway.explainable)
	return cmd
}

// explainFlags explains flags and values of response_code_details.
func explainFlags(args []string, asJSON bool, w io.Writer) error {
	answer, err := explain(args)
	if err != nil {
		return err
	}
	switch {
	case asJSON:
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		return failed(out.Encode(answer))
	case len(args) == 0:
		return failed(writeFlags(w, answer.Flags))
	}
	return failed(answer.write(w))
}

// failed marks an error of a command that was called rightly.
func failed(err error) error {
	if err != nil {
		return failure{err}
	}
	return nil
}

// explain looks up flags, comma-joined or one by one, and values of response_code_details.
func explain(args []string) (explained, error) {
	var answer explained
	var unknown []string
	asked := map[string]mesh.Explanation{}
	for _, arg := range args {
		if detail, ok := mesh.ExplainDetails(arg); ok {
			if !slices.Contains(answer.Details, detail) {
				answer.Details = append(answer.Details, detail)
			}
			continue
		}
		for name := range strings.SplitSeq(arg, ",") {
			if flag, ok := mesh.Explain(strings.TrimSpace(name)); ok {
				asked[flag.Flag] = flag
			} else {
				unknown = append(unknown, fmt.Sprintf("%q", name))
			}
		}
	}
	if unknown != nil {
		return answer, fmt.Errorf("no such flag: %s\nthe flags are %s, and - for none; a DNS name is a word with a dot", strings.Join(unknown, ", "), strings.Join(flagNames(mesh.Explanations()), " "))
	}
	if len(args) == 0 {
		answer.Flags = mesh.Explanations()
		return answer, nil
	}
	for _, flag := range asked {
		answer.Flags = append(answer.Flags, flag)
	}
	slices.SortFunc(answer.Flags, func(a, b mesh.Explanation) int { return cmp.Compare(a.Flag, b.Flag) })
	answer.Together = mesh.ExplainTogether(flagNames(answer.Flags))
	return answer, nil
}

func flagNames(flags []mesh.Explanation) []string {
	names := make([]string, len(flags))
	for i, flag := range flags {
		names[i] = flag.Flag
	}
	return names
}

// writeFlags writes a line for each flag.
func writeFlags(out io.Writer, flags []mesh.Explanation) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FLAG\tCLASS\tCODE\tMEANING")
	for _, flag := range flags {
		sentence, _, _ := strings.Cut(flag.Meaning, ". ")
		code, _, _ := strings.Cut(flag.Code, ": ")
		fmt.Fprintf(table, "%s\t%s\t%s\t%s.\n", flag.Flag, flag.Class, code, strings.TrimSuffix(sentence, "."))
	}
	return table.Flush()
}

const explainWidth = 100

// write writes for people: what flags mean together comes first.
func (a *explained) write(out io.Writer) error {
	var text strings.Builder
	for _, note := range a.Together {
		fmt.Fprintf(&text, "%s together:\n", strings.Join(note.Flags, ","))
		wrap(&text, "  ", "  ", note.Meaning)
		text.WriteByte('\n')
	}
	for _, flag := range a.Flags {
		writeFlag(&text, &flag)
	}
	for _, detail := range a.Details {
		fmt.Fprintf(&text, "%s…  flag %s, code %s\n", detail.Details, detail.Flag, detail.Code)
		wrap(&text, "  ", "  ", detail.Meaning)
		text.WriteByte('\n')
	}
	_, err := io.WriteString(out, strings.TrimSuffix(text.String(), "\n"))
	return err
}

func writeFlag(text *strings.Builder, flag *mesh.Explanation) {
	fmt.Fprintf(text, "%s  %s", flag.Flag, flag.Name)
	if flag.Class != "" {
		fmt.Fprintf(text, "  (class: %s)", flag.Class)
	}
	text.WriteByte('\n')
	wrap(text, "  ", "  ", flag.Meaning)
	for _, list := range []struct {
		title string
		items []string
	}{{"Usual causes", flag.Causes}, {"Check", flag.Check}} {
		if len(list.items) > 0 {
			fmt.Fprintf(text, "  %s:\n", list.title)
		}
		for _, item := range list.items {
			wrap(text, "    - ", "      ", item)
		}
	}
	fmt.Fprintf(text, "  Code:     %s\n", flag.Code)
	fmt.Fprintf(text, "  Details:  %s\n", strings.Join(flag.Details, ", "))
	wrap(text, "  Upstream: ", "            ", string(flag.Upstream))
	if flag.Class != "" {
		fmt.Fprintf(text, "  Who, now: topk(10, sum by (source_app, destination_app, idc) (rate(lockkeeper_response_flags_total{flag=%q}[5m])))\n", flag.Flag)
	}
	text.WriteByte('\n')
}

// wrap writes words in lines of explainWidth columns: the first after one indent, the rest after another.
func wrap(text *strings.Builder, first, rest, words string) {
	line := first
	for i, word := range strings.Fields(words) {
		if i > 0 && len([]rune(line))+len([]rune(word)) >= explainWidth {
			text.WriteString(line + "\n")
			line = rest
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	text.WriteString(line + "\n")
}
