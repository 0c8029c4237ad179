package cluster

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/config/configopaque"
)

// Config is the configuration of the cluster extension.
type Config struct {
	// Name of this gateway among the members. Each has its own. Default: the host's name.
	Name string `mapstructure:"name"`

	// Site is where this gateway stands. Those of one site are one voice.
	Site string `mapstructure:"site"`

	// Endpoint is the address to listen at, by UDP and TCP.
	Endpoint string `mapstructure:"endpoint"`

	// Advertise is the address that the others reach this gateway at. Empty: the endpoint.
	Advertise string `mapstructure:"advertise"`

	// Join are the addresses of other members, or names with one or more of them. This gateway's own may be among them.
	Join []string `mapstructure:"join"`

	// Keys seal what is sent, each 16, 24 or 32 random bytes in base64. The first seals, all open.
	Keys []configopaque.String `mapstructure:"keys"`
}

// maxName is how long the name of a member or of a site may be: as long as that of a host.
const maxName = 63

func createDefaultConfig() *Config {
	c := &Config{Endpoint: "localhost:7946"}
	if name, err := os.Hostname(); err == nil {
		c.Name = name
	}
	return c
}

// Validate reports all mistakes at once.
func (c *Config) Validate() error {
	var errs []error
	if err := checkName(c.Name); err != nil {
		errs = append(errs, fmt.Errorf("name: %w", err))
	}
	if c.Site == "" {
		errs = append(errs, errors.New("site: missing: where this gateway stands, as failover::sites calls it"))
	} else if err := checkName(c.Site); err != nil {
		errs = append(errs, fmt.Errorf("site: %w", err))
	}
	host, err := checkAddress(c.Endpoint)
	if err != nil {
		errs = append(errs, fmt.Errorf("endpoint: %w", err))
	}
	if c.Advertise != "" {
		if host, err := checkAddress(c.Advertise); err != nil {
			errs = append(errs, fmt.Errorf("advertise: %w", err))
		} else if isAny(host) {
			errs = append(errs, fmt.Errorf("advertise: %q is no address that others could reach", c.Advertise))
		}
	} else if err == nil && isAny(host) {
		errs = append(errs, fmt.Errorf("advertise: missing: with the endpoint %q the others must be told one address, such as 192.0.2.1:7946", c.Endpoint))
	}
	for i, address := range c.Join {
		if host, err := checkAddress(address); err != nil {
			errs = append(errs, fmt.Errorf("join[%d]: %w", i, err))
		} else if isAny(host) {
			errs = append(errs, fmt.Errorf("join[%d]: %q is no address of a member", i, address))
		}
	}
	if _, err := c.keys(); err != nil {
		errs = append(errs, err)
	}
	if len(c.Keys) == 0 && err == nil && !isLoopback(host) {
		errs = append(errs, fmt.Errorf("keys: missing: without one whoever reaches %s could move traffic. Make one: openssl rand -base64 32", c.Endpoint))
	}
	return errors.Join(errs...)
}

// keys are the keys as bytes.
func (c *Config) keys() (keys [][]byte, err error) {
	var errs []error
	for i, text := range c.Keys {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			errs = append(errs, fmt.Errorf("keys[%d]: must be base64, such as openssl rand -base64 32 makes", i))
		} else if n := len(key); n != 16 && n != 24 && n != 32 {
			errs = append(errs, fmt.Errorf("keys[%d]: must be 16, 24 or 32 bytes in base64, is %d", i, n))
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(errs...)
}

// checkName tells what is wrong with the name of a member or of a site.
func checkName(name string) error {
	good := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	if name == "" || len(name) > maxName || strings.Trim(name, ".") == "" || strings.ContainsFunc(name, func(r rune) bool { return !good(r) }) {
		return fmt.Errorf("must be 1 to %d letters, digits, dots, dashes and underscores, is %.80q", maxName, name)
	}
	return nil
}

func checkAddress(address string) (host string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", fmt.Errorf("%q: must be like 192.0.2.1:7946 or gateway.example.com:7946", address)
	}
	return host, nil
}

// isAny tells whether the host stands for all addresses of a machine.
func isAny(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
