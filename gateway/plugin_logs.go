package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newPluginLogsCommand() *cobra.Command {
	var gateway remote
	var format output
	var lines int
	var followed bool
	cmd := &cobra.Command{
		Use:   "logs NAME [-n N] [-f]",
		Short: "Show what a plugin printed",
		Long: `Show the last lines that a plugin of a running gateway printed, over its restarts. The gateway keeps 1,000 of each plugin; what
its configuration holds as secret is masked. With -f it goes on until Ctrl-C.`,
		Example: `  lockkeeper plugin logs acme
  lockkeeper plugin logs acme -n 1000 -f`,
		Args: oneArgument("say which plugin: lockkeeper plugin logs NAME"),
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			path, err := pluginPath(cmd.Flags().Arg(0), "logs")
			if err != nil {
				return err
			}
			query := url.Values{"lines": {strconv.Itoa(lines)}}
			if followed {
				query.Set("follow", "true")
			}
			ended, err := gateway.lines(cmd.Context(), path, query, func(line []byte) error { return showLogged(line, asJSON, cmd.OutOrStdout()) })
			if ended && followed {
				return fmt.Errorf("the gateway at %s has ended the log: it stops, or it reloads", gateway.url)
			}
			return err
		}),
	}
	cmd.Flags().IntVarP(&lines, "lines", "n", 100, "begin with the last `N` lines, at most 1000")
	cmd.Flags().BoolVarP(&followed, "follow", "f", false, "go on with what it prints from now on")
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	cmd.ValidArgsFunction = completes(true, gateway.plugins(""))
	return cmd
}

func showLogged(line []byte, asJSON bool, out io.Writer) error {
	var logged struct {
		Time           time.Time
		Level, Message string
		Fields         map[string]any
	}
	if err := json.Unmarshal(line, &logged); err != nil {
		return fmt.Errorf("not a line of a log: %w", err)
	}
	if asJSON {
		_, err := out.Write(line)
		return err
	}
	text := fmt.Sprintf("%s %-5s %s", logged.Time.Local().Format("15:04:05.000"), strings.ToUpper(logged.Level), logged.Message)
	for _, name := range slices.Sorted(maps.Keys(logged.Fields)) {
		text += fmt.Sprintf(" %s=%v", name, logged.Fields[name])
	}
	_, err := fmt.Fprintln(out, printable(text))
	return err
}
