package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func newPluginSendTestCommand() *cobra.Command {
	var gateway remote
	var format output
	cmd := &cobra.Command{
		Use:   "send-test NAME",
		Short: "Have a notification plugin tell its people that this is a test",
		Long: `Have a notification plugin of a running gateway send a test notification, and tell whether the other side took it. It needs a token of
the console's (extensions::console::tokens) with the role operator.

Exit codes: 0 the other side took it, 1 it did not, or there is no gateway, 2 called wrongly, or the plugin is not one of notification.`,
		Example: "  LOCKKEEPER_TOKEN=$(cat token) lockkeeper plugin send-test acme",
		Args:    oneArgument("say which plugin: lockkeeper plugin send-test NAME"),
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			name := cmd.Flags().Arg(0)
			path, err := pluginPath(name, "test")
			if err != nil {
				return err
			}
			response, err := gateway.ask(cmd.Context(), http.MethodPost, path, nil)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			var answer struct {
				Took float64 `json:"took_ms"`
			}
			if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
				return fmt.Errorf("not an answer to a test: %w", err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]float64{"took_ms": answer.Took})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s sent the test notification in %.0f ms\n", name, answer.Took)
			return err
		}),
	}
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	cmd.ValidArgsFunction = completes(true, gateway.plugins("notification"))
	return cmd
}
