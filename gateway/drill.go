package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
)

func newDrillCommand() *cobra.Command {
	return &cobra.Command{
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return failover.Scenarios(), cobra.ShellCompDirectiveDefault // or a file
		},
		Use:   "drill [SCENARIO | FILE]…",
		Short: "Run failover scenarios in fake time, and show what would happen and why",
		Long: `Run failover scenarios in fake time: what is observed, asked and broken when is in a file, and what the gateway would do, when and why is
printed. Nothing is touched, and no gateway is needed. Without arguments: the scenarios that come with it. Files are written like those, as
gateway/failover/SCENARIOS.md tells.

Exit codes: 0 all went as the scenarios expect, 1 one did not, 2 called wrongly.`,
		Example: `  lockkeeper drill
  lockkeeper drill my-scenario.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), strings.Join(failover.Scenarios(), "\n"))
				return nil
			}
			var errs []error
			for _, name := range args {
				if len(args) > 1 {
					fmt.Fprintf(cmd.OutOrStdout(), "== %s\n", name)
				}
				text, err := readScenario(name)
				if err != nil {
					return usageError{err}
				}
				if err := failover.RunScenario(cmd.Context(), bytes.NewReader(text), cmd.OutOrStdout()); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", name, err))
				}
			}
			return failed(errors.Join(errs...))
		},
	}
}

// readScenario reads one that comes with the gateway, else a file.
func readScenario(name string) ([]byte, error) {
	if slices.Contains(failover.Scenarios(), name) {
		return failover.Scenario(name)
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is neither a file nor a scenario that comes with the gateway: `lockkeeper drill` lists those", name)
	}
	return text, err
}
