package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newPluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Write, test and look after plugins",
		Example: `  lockkeeper plugin new notification acme
  lockkeeper plugin list`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("say what to do: lockkeeper plugin list, logs, send-test, verify, new or test")
		},
	}
	cmd.AddCommand(newPluginListCommand(), newPluginLogsCommand(), newPluginSendTestCommand(), newPluginVerifyCommand(), newPluginNewCommand(), newPluginTestCommand())
	return cmd
}

// oneArgument is a command's Args when there must be exactly one.
func oneArgument(missing string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return errors.New(missing)
		}
		return nil
	}
}

// pluginPath is the path of something of a plugin on the console.
func pluginPath(name, what string) (string, error) {
	if !isPluginName(name) {
		return "", usageError{fmt.Errorf("%q is no name of a plugin: `lockkeeper plugin list` shows them", name)}
	}
	return "/api/v1/plugins/" + name + "/" + what, nil
}

// isPluginName tells whether the configuration would take s as a plugin's name: a DNS label in lower case.
func isPluginName(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
