// Lockkeeper reads a service mesh and works its traffic: an observability gateway for Envoy and Istio, built as a distribution
// of the OpenTelemetry Collector. It takes in access logs of Envoys and turns them into Istio's metrics, kept by storage plugins
// in processes of their own. This package wires the components together; none of them knows another.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker (see Makefile); nothing else writes it.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// usageError is a mistake in how a command was called.
type usageError struct{ error }

// failure is what a command returned. Other errors are cobra's, about how it was called.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// execute runs one command and returns the exit code: 0, 1 when it failed, 2 when it was called wrongly.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(stderr, "error: "+strings.TrimSuffix(line, "\n"))
	}
	var failed failure
	var usage usageError
	if errors.As(err, &failed) && !errors.As(err, &usage) {
		return 1
	}
	fmt.Fprintln(stderr, "see lockkeeper --help")
	return 2
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "lockkeeper",
		Short: "Observability gateway for Envoy and Istio",
		Long: `Lockkeeper takes in the access logs and stats of Envoys, turns them into Istio's and Envoy's metrics and keeps them in a storage plugin.

Exit codes: 0 done, 1 failed, 2 called wrongly.`,
		Example:           "  lockkeeper run",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(newRunCommand(), newValidateCommand(), newConfigCommand(), newComponentsCommand(), newSnippetCommand(),
		newStatusCommand(), newDoctorCommand(), newExplainCommand(), newTailCommand(), newRecordCommand(), newReplayCommand(), newPluginCommand(),
		newProbeCommand(), newClusterCommand(), newFailoverCommand(), newShiftCommand(), newDrillCommand(),
		newCompletionCommand(), newVersionCommand())
	return root
}

// does makes a command's action of run and marks its errors as failures of a command that was called rightly.
func does(run func(cmd *cobra.Command) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := run(cmd); err != nil {
			return failure{err}
		}
		return nil
	}
}
