package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
)

//go:embed snippet.yaml.tmpl
var snippetTemplate string

// envoySnippet is what the templates of snippet.yaml.tmpl are filled with.
type envoySnippet struct {
	Host, Port                 string // the gateway
	Reporter                   string // source or destination
	ListenHost, ListenPort     string
	UpstreamHost, UpstreamPort string
	UpstreamLog                bool // an entry for each try
	xdsSnippet
}

func newSnippetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "snippet",
		Short:   "Print what to put into other programs so that they work with the gateway",
		Example: "  lockkeeper snippet envoy --address 10.0.0.7:9001",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("say which snippet: lockkeeper snippet envoy, or lockkeeper snippet istio")
		},
	}
	cmd.AddCommand(newSnippetEnvoyCommand(), newSnippetIstioCommand())
	return cmd
}

func newSnippetEnvoyCommand() *cobra.Command {
	var address, listen, upstream, xds string
	var full, sotw bool
	var s envoySnippet
	cmd := &cobra.Command{
		Use:   "envoy",
		Short: "Print what to put into an Envoy so that it sends its access logs and stats here",
		Example: `  lockkeeper snippet envoy --address 10.0.0.7:9001
  lockkeeper snippet envoy --full --upstream 127.0.0.1:8080 > envoy.yaml && envoy -c envoy.yaml
  lockkeeper snippet envoy --xds 10.0.0.7:18000 --address 10.0.0.7:9001`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			err := errors.Join(
				split("address", address, &s.Host, &s.Port),
				split("listen", listen, &s.ListenHost, &s.ListenPort),
				split("upstream", upstream, &s.UpstreamHost, &s.UpstreamPort),
			)
			if s.Reporter != "source" && s.Reporter != "destination" {
				err = errors.Join(err, fmt.Errorf("--reporter %q: must be source or destination", s.Reporter))
			}
			if sotw && xds == "" {
				err = errors.Join(err, errors.New("--sotw: is for --xds HOST:PORT"))
			}
			if err != nil {
				return usageError{err}
			}
			if xds != "" {
				return s.writeXDS(cmd.OutOrStdout(), xds, sotw, full)
			}
			name := "envoy"
			if full {
				name = "bootstrap"
			}
			return writeSnippet(cmd.OutOrStdout(), snippetTemplate, name, &s)
		}),
	}
	cmd.Flags().StringVar(&address, "address", "127.0.0.1:9001", "`HOST:PORT` at which Envoy reaches the gateway")
	cmd.Flags().StringVar(&s.Reporter, "reporter", "source", "the side on which the Envoy stands: source (callers, edge) or destination")
	cmd.Flags().BoolVar(&s.UpstreamLog, "upstream-log", false, "log each try, too: names the hosts that retries hide, and costs one more entry for each request")
	cmd.Flags().BoolVar(&full, "full", false, "a whole configuration of an Envoy to try it with")
	cmd.Flags().StringVar(&xds, "xds", "", "a whole bootstrap: Envoy takes clusters, endpoints, listeners and routes from the gateway's extension xds at `HOST:PORT`")
	cmd.Flags().BoolVar(&sotw, "sotw", false, "with --xds: each change as the state of the world, not as a delta")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:10000", "with --full: `HOST:PORT` at which Envoy takes requests")
	cmd.Flags().StringVar(&upstream, "upstream", "127.0.0.1:8080", "with --full: `HOST:PORT` to which it passes them on")
	return cmd
}

func split(flag, address string, host, port *string) error {
	var err error
	if *host, *port, err = net.SplitHostPort(address); err != nil || *host == "" {
		return fmt.Errorf("--%s %q: must be HOST:PORT", flag, address)
	}
	if _, err := strconv.ParseUint(*port, 10, 16); err != nil {
		return fmt.Errorf("--%s %q: the port must be a number up to 65535", flag, address)
	}
	return nil
}

// writeSnippet fills the named one of the templates in text.
func writeSnippet(out io.Writer, text, name string, data any) error {
	templates := template.New("")
	templates.Funcs(template.FuncMap{"indent": func(columns int, name string, data any) (string, error) {
		var text bytes.Buffer
		err := templates.ExecuteTemplate(&text, name, data)
		margin := strings.Repeat(" ", columns)
		return margin + strings.ReplaceAll(strings.TrimSuffix(text.String(), "\n"), "\n", "\n"+margin) + "\n", err
	}})
	if _, err := templates.Parse(text); err != nil {
		return err
	}
	return templates.ExecuteTemplate(out, name, data)
}
