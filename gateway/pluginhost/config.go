package pluginhost

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/config/configtls"
)

// leastMemory is the least that memory_limit may be: less is a unit that was forgotten.
const leastMemory Size = 16 << 20

// Config is the configuration of the plugins extension.
type Config struct {
	// Directory holds the plugin binaries. Empty: plugins/ beside the gateway's own executable, symlinks resolved.
	Directory string `mapstructure:"directory"`

	// StartTimeout bounds one start of a plugin: its process, its handshake and the opening of its data.
	StartTimeout time.Duration `mapstructure:"start_timeout"`

	// Processes are the plugins to run, by the name under which the rest of the configuration knows them.
	Processes map[string]Process `mapstructure:"processes"`
}

// Process is one plugin: a process, or a server at an address.
type Process struct {
	// Kind is what the plugin must say it is: storage, alerting or notification.
	Kind string `mapstructure:"kind"`

	// Use is the file name of the binary. Empty: kind-name, such as storage-victoriametrics.
	Use string `mapstructure:"use"`

	// SHA256 pins the binary: 64 hexadecimal digits. Empty: not checked.
	SHA256 string `mapstructure:"sha256"`

	// MemoryLimit is how much memory the process may hold before it is killed and restarted. 0: as much as there is.
	MemoryLimit Size `mapstructure:"memory_limit"`

	// Address is the host:port of a server that is the plugin, which somebody else runs. Empty: a process.
	Address string `mapstructure:"address"`

	// TLS is for the connection to Address. Nil: TLS, and the server's certificate is one that this machine trusts.
	TLS *configtls.ClientConfig `mapstructure:"tls"`

	// Config is handed to the plugin, which alone knows its keys.
	Config Settings `mapstructure:"config"`
}

// Validate reports all mistakes at once. It does not look at the disk: Start does.
func (c *Config) Validate() error {
	var errs []error
	if c.StartTimeout <= 0 {
		errs = append(errs, fmt.Errorf("start_timeout: must be more than 0, is %s", c.StartTimeout))
	}
	for name := range c.Processes {
		if !isName(name) {
			errs = append(errs, fmt.Errorf("processes::%s: a name has at most 63 of a-z, 0-9 and -, and neither starts nor ends with -", name))
		}
	}
	return errors.Join(errs...)
}

// Validate reports all mistakes of one process at once; the Collector adds the path to them.
func (p Process) Validate() error {
	var errs []error
	switch p.Kind {
	case "storage", "alerting", "notification":
	case "":
		errs = append(errs, errors.New("kind: missing: storage, alerting or notification"))
	default:
		errs = append(errs, fmt.Errorf("kind: %q is none of storage, alerting, notification", p.Kind))
	}
	if p.Use != "" && (filepath.Base(p.Use) != p.Use || p.Use == "." || p.Use == "..") {
		errs = append(errs, fmt.Errorf("use: %q is not a file name: name a binary in plugins.directory", p.Use))
	}
	if sum, err := hex.DecodeString(p.SHA256); p.SHA256 != "" && (err != nil || len(sum) != 32) {
		errs = append(errs, fmt.Errorf("sha256: %q is not 64 hexadecimal digits", p.SHA256))
	}
	if p.MemoryLimit != 0 && p.MemoryLimit < leastMemory {
		errs = append(errs, fmt.Errorf("memory_limit: %s is less than any plugin needs: at least %s", p.MemoryLimit, leastMemory))
	}
	return errors.Join(append(errs, p.validateAddress())...)
}

// validateAddress reports what is wrong with an address, or beside one.
func (p Process) validateAddress() error {
	if p.Address == "" {
		if p.TLS != nil {
			return errors.New("tls: is for the connection to an address: set address, too")
		}
		return nil
	}
	var errs []error
	host, port, err := net.SplitHostPort(p.Address)
	if number, _ := strconv.ParseUint(port, 10, 16); err != nil || host == "" || number == 0 {
		errs = append(errs, fmt.Errorf("address: %q is not host:port, such as acme.internal:7443", p.Address))
	}
	for _, of := range []struct {
		key string
		set bool
	}{{"use", p.Use != ""}, {"sha256", p.SHA256 != ""}, {"memory_limit", p.MemoryLimit != 0}} {
		if of.set {
			errs = append(errs, fmt.Errorf("%s: is for a process that the gateway starts, and address for a server that somebody else runs: leave one of them away", of.key))
		}
	}
	return errors.Join(errs...)
}

// binary is the file name of the binary.
func (p Process) binary(name string) string {
	if p.Use != "" {
		return p.Use
	}
	return p.Kind + "-" + name
}

// isName tells whether s is a DNS label in lower case.
func isName(s string) bool {
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
