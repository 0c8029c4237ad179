package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/pluginhost"
)

func newPluginVerifyCommand() *cobra.Command {
	var from source
	var format output
	cmd := &cobra.Command{
		Use:   "verify [--config FILE]… [--no-default]",
		Short: "Tell which binaries a configuration would run as plugins, and whether they are the pinned ones",
		Long: `Tell for each plugin of a configuration which binary would run, its sha256, and whether that is pinned and matches. Nothing is started.

Exit codes: 0 all would be started, 1 one is missing or is not the pinned one, or the configuration is not valid, 2 called wrongly.`,
		Example: `  lockkeeper plugin verify
  lockkeeper plugin verify --config my.yaml -o json`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			configuration, err := readConfiguration(cmd.Context(), &from)
			if err != nil {
				return err
			}
			binaries, err := configuration.binaries()
			if err != nil {
				return err
			}
			return printBinaries(cmd.OutOrStdout(), binaries, asJSON)
		}),
	}
	format.addFlags(cmd)
	from.addFlags(cmd)
	return cmd
}

// pluginBinary is a plugin's, with the extension that would start it.
type pluginBinary struct {
	pluginhost.Binary
	extension string
}

// binaries are those of all extensions that run plugins.
func (c *configuration) binaries() ([]pluginBinary, error) {
	var all []pluginBinary
	for _, id := range used(c.effective) {
		name, isExtension := strings.CutPrefix(id, "extensions::")
		if kind, _, _ := strings.Cut(name, "/"); !isExtension || kind != "plugins" {
			continue
		}
		cfg := pluginhost.NewFactory().CreateDefaultConfig()
		section, err := c.resolved.Sub(id)
		if err == nil {
			err = section.Unmarshal(cfg)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		found, err := pluginhost.Verify(cfg)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		for _, b := range found {
			all = append(all, pluginBinary{b, name})
		}
	}
	return all, nil
}

// printBinaries fails when one would not be started.
func printBinaries(out io.Writer, binaries []pluginBinary, asJSON bool) error {
	type entry struct {
		Name    string `json:"name"`
		Kind    string `json:"kind"`
		Binary  string `json:"binary"`
		Address string `json:"address"`
		SHA256  string `json:"sha256"`
		Pinned  string `json:"pinned"`
		OK      bool   `json:"ok"`
		Error   string `json:"error"`
	}
	entries, bad := []entry{}, false
	for _, b := range binaries {
		e := entry{b.Name, b.Kind, b.Path, b.Address, b.SHA256, b.Pinned, b.Err == nil, ""}
		if b.Err != nil {
			e.Error, bad = b.Err.Error(), true
		}
		entries = append(entries, e)
		if !asJSON {
			fmt.Fprint(out, b.text())
		}
	}
	if asJSON {
		if err := json.NewEncoder(out).Encode(map[string]any{"plugins": entries}); err != nil {
			return err
		}
	}
	if bad {
		return errors.New("not all plugins would be started")
	}
	return nil
}

func (b *pluginBinary) text() string {
	switch {
	case b.Err != nil:
		return fmt.Sprintf("BAD   %s: %s\n", b.Name, b.Err)
	case b.Address != "":
		return fmt.Sprintf("ok    %s: a server at %s, which has no binary here\n", b.Name, b.Address)
	case b.Pinned != "":
		return fmt.Sprintf("ok    %s: %s, pinned\n      sha256: %q\n", b.Name, b.Path, b.SHA256)
	}
	return fmt.Sprintf("ok    %s: %s, not pinned; this line below extensions: %s: processes: %s: pins it:\n      sha256: %q\n",
		b.Name, b.Path, b.extension, b.Name, b.SHA256)
}
