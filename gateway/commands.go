package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func newValidateCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:     "validate [--config FILE]… [--no-default]",
		Short:   "Check a configuration without starting anything",
		Example: "  lockkeeper validate --config my.yaml",
		Args:    cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			if _, err := readConfiguration(cmd.Context(), &from); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return nil
		}),
	}
	from.addFlags(cmd)
	return cmd
}

func newConfigCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:     "config [--config FILE]… [--no-default]",
		Short:   "Print the merged configuration with every default, secrets redacted",
		Example: "  lockkeeper config --config my.yaml",
		Args:    cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			loaded, err := readConfiguration(cmd.Context(), &from)
			if err != nil {
				return err
			}
			out := yaml.NewEncoder(cmd.OutOrStdout())
			out.SetIndent(2)
			return out.Encode(loaded.effective.ToStringMap())
		}),
	}
	from.addFlags(cmd)
	return cmd
}

func newComponentsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "components",
		Short:   "List the components that a configuration may use",
		Example: "  lockkeeper components",
		Args:    cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			factories, err := components()
			if err != nil {
				return err
			}
			for _, kind := range []struct {
				name  string
				types []string
			}{
				{"receivers", typeNames(factories.Receivers)},
				{"processors", typeNames(factories.Processors)},
				{"exporters", typeNames(factories.Exporters)},
				{"extensions", typeNames(factories.Extensions)},
			} {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", kind.name, strings.Join(kind.types, ", "))
			}
			return nil
		}),
	}
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  lockkeeper version",
		Args:    cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			fmt.Fprintln(cmd.OutOrStdout(), "lockkeeper "+version)
			return nil
		}),
	}
}
