package alerting

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/config"
	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
)

// file is an Alertmanager configuration file as it was read.
type file struct {
	*config.Config
	name    string
	text    []byte
	plugins map[string][]pluginConfig // by receiver
}

// pluginConfig is one of a receiver's plugin_configs: a notification plugin that is told.
type pluginConfig struct {
	Plugin    string        `yaml:"plugin"`
	Resolved  bool          `yaml:"send_resolved"`
	MaxAlerts int           `yaml:"max_alerts"` // in one notification; 0: all
	Timeout   time.Duration `yaml:"timeout"`    // of one call
	RateLimit rateLimit     `yaml:"rate_limit"` // of notifications

	line int // in the file; 0: it is in none
}

func newPluginConfig(plugin string) pluginConfig {
	return pluginConfig{Plugin: plugin, Resolved: true, Timeout: 30 * time.Second}
}

// SendResolved implements notify.ResolvedSender.
func (c pluginConfig) SendResolved() bool { return c.Resolved }

// readFile reads an Alertmanager configuration. Its errors have the name of the file and the lines of the mistakes.
func readFile(path string) (*file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := parseFile(path, text)
	if err != nil {
		return nil, err
	}
	directory, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f.setDirectory(directory)
	return f, nil
}

// parseFile parses the text of a file. Alertmanager does not know plugin_configs, so it sees the file without them; a file
// without any it sees as it is, also one that only its own parser of YAML takes.
func parseFile(name string, text []byte) (*file, error) {
	f := &file{name: name, text: text, plugins: map[string][]pluginConfig{}}
	var document yaml.Node
	read, rest := &lines{}, text
	err := yaml.Unmarshal(text, &document)
	switch {
	case err == nil:
		if err = f.takePlugins(&document); err != nil {
			return nil, mistakes(name, err, read)
		}
		if len(f.plugins) > 0 {
			if rest, err = yaml.Marshal(&document); err != nil {
				return nil, mistakes(name, err, read)
			}
		}
		read = newLines(&document, rest)
	case bytes.Contains(text, []byte("plugin_configs")):
		return nil, mistakes(name, err, read)
	}
	if f.Config, err = config.Load(string(rest)); err != nil {
		return nil, mistakes(name, err, read)
	}
	return f, nil
}

// takePlugins takes the plugin_configs out of a document's receivers.
func (f *file) takePlugins(document *yaml.Node) error {
	var errs []error
	if len(document.Content) == 0 {
		return nil
	}
	receivers := value(document.Content[0], "receivers")
	if receivers == nil {
		return nil
	}
	for _, receiver := range resolved(receivers).Content {
		receiver = resolved(receiver)
		configs, name := value(receiver, "plugin_configs"), value(receiver, "name")
		if configs == nil {
			continue
		}
		remove(receiver, "plugin_configs")
		if name == nil {
			continue // Alertmanager says so
		}
		if configs = resolved(configs); configs.Kind != yaml.SequenceNode {
			errs = append(errs, fmt.Errorf("line %d: plugin_configs: must be a list of entries like {plugin: name}", configs.Line))
			continue
		}
		for _, node := range configs.Content {
			c, err := parsePlugin(resolved(node))
			errs = append(errs, err)
			f.plugins[name.Value] = append(f.plugins[name.Value], c)
		}
	}
	return errors.Join(errs...)
}

func parsePlugin(node *yaml.Node) (pluginConfig, error) {
	c := newPluginConfig("")
	c.line = node.Line
	if node.Kind != yaml.MappingNode {
		return c, fmt.Errorf("line %d: plugin_configs: an entry is like {plugin: name}", node.Line)
	}
	known := []string{"plugin", "send_resolved", "max_alerts", "timeout", "rate_limit"}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if key := node.Content[i]; !slices.Contains(known, key.Value) {
			return c, fmt.Errorf("line %d: plugin_configs: unknown key %q: there are %s", key.Line, key.Value, strings.Join(known, ", "))
		}
	}
	if err := node.Decode(&c); err != nil {
		return c, err
	}
	switch {
	case c.Plugin == "":
		return c, fmt.Errorf("line %d: plugin_configs: plugin: missing: the name of a notification plugin in extension plugins", c.line)
	case c.Timeout <= 0:
		return c, fmt.Errorf("line %d: plugin_configs: timeout: must be more than 0, is %s", c.line, c.Timeout)
	case c.MaxAlerts < 0:
		return c, fmt.Errorf("line %d: plugin_configs: max_alerts: must not be less than 0, is %d", c.line, c.MaxAlerts)
	}
	return c, nil
}

// defaultFile tells every plugin of every alert: a plugin that somebody has configured is meant to be heard from.
func defaultFile(notification []string) (*file, error) {
	f, err := parseFile("", []byte("route: {receiver: default, group_by: [alertname]}\nreceivers: [{name: default}]\n"))
	if err != nil {
		return nil, err
	}
	for _, name := range notification {
		f.plugins["default"] = append(f.plugins["default"], newPluginConfig(name))
	}
	return f, nil
}

// checkPlugins reports plugins that there are not.
func (f *file) checkPlugins(notification []string) error {
	var errs []error
	for _, configs := range f.plugins {
		for _, c := range configs {
			if slices.Contains(notification, c.Plugin) {
				continue
			}
			there := "there is none"
			if len(notification) > 0 {
				there = "there are " + strings.Join(notification, ", ")
			}
			errs = append(errs, fmt.Errorf("%s:%d: no notification plugin %q in extension plugins: %s", f.name, c.line, c.Plugin, there))
		}
	}
	return errors.Join(errs...)
}

// setDirectory makes paths relative to the directory of the file, as Alertmanager has them.
func (f *file) setDirectory(directory string) {
	for i, glob := range f.Templates {
		f.Templates[i] = commoncfg.JoinDir(directory, glob)
	}
	f.Global.HTTPConfig.SetDirectory(directory)
	for _, receiver := range f.Receivers {
		for _, list := range reflect.ValueOf(receiver).Fields() {
			if list.Kind() != reflect.Slice {
				continue
			}
			for i := range list.Len() {
				client := reflect.Indirect(list.Index(i)).FieldByName("HTTPConfig")
				if !client.IsValid() {
					continue
				}
				if c, ok := client.Interface().(*commoncfg.HTTPClientConfig); ok {
					c.SetDirectory(directory)
				}
			}
		}
	}
}
