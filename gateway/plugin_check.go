package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/lockkeeper/lockkeeper/gateway/pluginhost"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func newPluginTestCommand() *cobra.Command {
	var t pluginTest
	var format output
	cmd := &cobra.Command{
		Use:   "test PATH | --address HOST:PORT [--config FILE]",
		Short: "Ask a plugin what the gateway relies on",
		Long: `Run the conformance suite of its kind on a plugin: on a program, which is started as the gateway starts it, several times, or on a server at
an address. It asks in earnest: a notification plugin that is configured with a channel of people sends the suite's groups to them, and a
storage plugin stores the suite's requests.

Exit codes: 0 all checks are ok or skipped, 1 one failed, or the suite could not run, 2 called wrongly.`,
		Example: `  lockkeeper plugin test ./notification-acme --config test.yaml
  lockkeeper plugin test --address acme.internal:7443 --ca-file ca.pem --config acme.yaml -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			target, err := t.target(cmd.Context(), cmd.Flags().Arg(0))
			if err != nil {
				return err
			}
			if t.verbose {
				target.Output = cmd.ErrOrStderr()
			}
			return checkPlugin(cmd.Context(), target, cmd.OutOrStdout(), asJSON)
		}),
	}
	cmd.Flags().StringVar(&t.config, "config", "", "`FILE` with the plugin's own configuration: what is below config: in the gateway's")
	cmd.Flags().StringVar(&t.address, "address", "", "`HOST:PORT` of a server, instead of PATH; by TLS, unless --insecure")
	cmd.Flags().StringVar(&t.tls.CAFile, "ca-file", "", "`FILE` with the authority that signed the server's certificate; default: the system's")
	cmd.Flags().StringVar(&t.tls.CertFile, "cert-file", "", "`FILE` with a certificate to show to the server")
	cmd.Flags().StringVar(&t.tls.KeyFile, "key-file", "", "`FILE` with the key of --cert-file")
	cmd.Flags().BoolVar(&t.tls.Insecure, "insecure", false, "without TLS")
	cmd.Flags().BoolVarP(&t.verbose, "verbose", "v", false, "show what the plugin prints, too")
	format.addFlags(cmd)
	return cmd
}

// pluginTest is what the flags say.
type pluginTest struct {
	config, address string
	tls             configtls.ClientConfig
	verbose         bool
}

func (t *pluginTest) target(ctx context.Context, program string) (sdktest.Target, error) {
	target := sdktest.Target{Binary: program, Address: t.address}
	var host, port string
	switch {
	case (program == "") == (t.address == ""):
		return target, usageError{errors.New("say which plugin: lockkeeper plugin test PATH, or --address HOST:PORT")}
	case t.address == "" && (t.tls.Insecure || t.tls.CAFile != "" || t.tls.CertFile != "" || t.tls.KeyFile != ""):
		return target, usageError{errors.New("--ca-file, --cert-file, --key-file and --insecure are for --address: a program is spoken to by its own TLS")}
	case t.tls.Insecure && (t.tls.CAFile != "" || t.tls.CertFile != "" || t.tls.KeyFile != ""):
		return target, usageError{errors.New("--insecure is without TLS: leave --ca-file, --cert-file and --key-file away, or it")}
	}
	if t.address != "" {
		if err := split("address", t.address, &host, &port); err != nil {
			return target, usageError{err}
		}
		if !t.tls.Insecure {
			var err error
			if target.TLS, err = t.tls.LoadTLSConfig(ctx); err != nil {
				return target, fmt.Errorf("TLS: %w", err)
			}
			target.TLS = cmp.Or(target.TLS, &tls.Config{})
		}
	}
	if t.config == "" {
		return target, nil
	}
	var err error
	target.Config, err = readPluginConfig(ctx, t.config)
	return target, err
}

// readPluginConfig reads what a plugin is configured with as the gateway would, ${env:…} and ${file:…} included.
func readPluginConfig(ctx context.Context, file string) (map[string]any, error) {
	conf, err := resolve(ctx, settings([]location{{file, "file:" + file}}, snapshot{}))
	var own pluginhost.Settings
	if err == nil {
		err = own.Unmarshal(conf)
	}
	if err != nil {
		return nil, mistake(file, nil, strings.TrimPrefix(err.Error(), "cannot retrieve the configuration: "))
	}
	return own.Plain(), nil
}

// checked is a check as it is printed.
type checked struct {
	Name   string  `json:"name"`
	Result string  `json:"result"` // ok, failed or skipped
	Reason string  `json:"reason"`
	Took   float64 `json:"took_ms"`
}

// checkPlugin fails when a check did, or when the suite could not run.
func checkPlugin(ctx context.Context, target sdktest.Target, out io.Writer, asJSON bool) error {
	began := time.Now()
	checks, counts := []checked{}, map[string]int{}
	err := sdktest.Check(ctx, target, func(r sdktest.Result) {
		c := checked{Name: r.Name, Result: "ok", Took: float64(r.Took.Microseconds()) / 1e3}
		switch {
		case r.Skipped != "":
			c.Result, c.Reason = "skipped", r.Skipped
		case r.Err != nil:
			c.Result, c.Reason = "failed", r.Err.Error()
		}
		counts[c.Result]++
		checks = append(checks, c)
		if !asJSON {
			fmt.Fprint(out, c.text())
		}
	})
	if asJSON {
		answer := map[string]any{"checks": checks, "ok": counts["ok"], "failed": counts["failed"], "skipped": counts["skipped"]}
		if encodeErr := json.NewEncoder(out).Encode(answer); encodeErr != nil {
			return encodeErr
		}
	} else if len(checks) > 0 {
		fmt.Fprintf(out, "%d ok, %d failed, %d skipped in %s\n", counts["ok"], counts["failed"], counts["skipped"], time.Since(began).Round(time.Millisecond))
	}
	return curable(err, target.TLS != nil)
}

// curable adds the cure to errors of those who speak another TLS than the server at an address.
func curable(err error, overTLS bool) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "unknown authority"):
		return fmt.Errorf("%w: give the authority's certificate by --ca-file", err)
	case strings.Contains(text, "does not look like a TLS handshake"):
		return fmt.Errorf("%w: it is without TLS: give --insecure", err)
	case strings.Contains(text, "server preface") && !overTLS:
		return fmt.Errorf("%w: it may want TLS: leave --insecure away", err)
	}
	return err
}

func (c *checked) text() string {
	line := fmt.Sprintf("%-7s %s", map[string]string{"ok": "ok", "failed": "FAIL", "skipped": "skipped"}[c.Result], c.Name)
	if c.Reason == "" {
		return fmt.Sprintf("%s (%.0f ms)\n", line, c.Took)
	}
	for reason := range strings.Lines(c.Reason) {
		line += "\n          " + printable(strings.TrimSpace(reason))
	}
	return strings.Replace(line, "\n          ", ": ", 1) + "\n"
}
