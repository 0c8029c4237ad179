package alerting

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config is the configuration of the alerting extension.
type Config struct {
	// ConfigFile is an Alertmanager configuration file, with plugin_configs as an addition to its receivers. It is read again when
	// it has changed. Empty: every alert goes to every notification plugin, grouped by alertname.
	ConfigFile string `mapstructure:"config_file"`

	// DataDirectory keeps silences, what was notified of, and the alerts.
	DataDirectory string `mapstructure:"data_directory"`

	// ExternalURL is where people find the console: links in notifications begin with it.
	ExternalURL string `mapstructure:"external_url"`

	// Storage is the storage plugin that the alerting plugins' rules are evaluated on. Empty: the first by name that stores metrics and has a query API.
	Storage string `mapstructure:"storage"`

	// MaxAlerts is how many alerts may be known at a time; more are refused and counted.
	MaxAlerts int `mapstructure:"max_alerts"`

	// PeerTimeout is how long, in a cluster, each gateway gives every one before it to tell of a group, and to say that it has.
	PeerTimeout time.Duration `mapstructure:"peer_timeout"`
}

// Validate reports all mistakes at once, those in the Alertmanager configuration file with their lines. Which plugins there are only Start knows.
func (c *Config) Validate() error {
	var errs []error
	if c.DataDirectory == "" {
		errs = append(errs, errors.New("data_directory: missing: where silences outlive a restart"))
	}
	if _, err := c.externalURL(); err != nil {
		errs = append(errs, err)
	}
	if c.MaxAlerts <= 0 {
		errs = append(errs, fmt.Errorf("max_alerts: must be more than 0, is %d", c.MaxAlerts))
	}
	if c.PeerTimeout <= 0 {
		errs = append(errs, fmt.Errorf("peer_timeout: must be more than 0, is %s", c.PeerTimeout))
	}
	if c.ConfigFile != "" {
		readMatchers()
		if _, err := readFile(c.ConfigFile); err != nil {
			errs = append(errs, fmt.Errorf("config_file: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) externalURL() (*url.URL, error) {
	external, err := url.Parse(c.ExternalURL)
	if err == nil && (external.Scheme != "http" && external.Scheme != "https" || external.Host == "") {
		err = errors.New("it must be like http://gateway.example:7070")
	}
	if err != nil {
		return nil, fmt.Errorf("external_url: %q: %w", c.ExternalURL, err)
	}
	return external, nil
}
