package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// settings is the plugin's configuration.
type settings struct {
	// Files are paths of rule files, or patterns such as rules/*.yaml, below the gateway's working directory. Required.
	Files []string `yaml:"files"`

	// EvaluationInterval is how often a group is evaluated that says nothing else; at least 1s.
	EvaluationInterval time.Duration `yaml:"evaluation_interval"`

	// QueryTimeout bounds a query, and a write of results.
	QueryTimeout time.Duration `yaml:"query_timeout"`

	// ExternalLabels are added to every alert and to every series that is written, unless it has a label of that name.
	ExternalLabels map[string]string `yaml:"external_labels"`

	// ExternalURL is the console's, as people reach it: alerts link to their query there.
	ExternalURL string `yaml:"external_url"`
}

func defaultSettings() settings {
	return settings{EvaluationInterval: 15 * time.Second, QueryTimeout: 10 * time.Second, ExternalURL: "http://localhost:7070"}
}

// decode reads the configuration and the rule files that it names. All mistakes are told at once.
func decode(c sdk.Config) (settings, *ruleSet, error) {
	s := defaultSettings()
	if err := c.Decode(&s); err != nil {
		return s, nil, err
	}
	var mistakes []string
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	if s.EvaluationInterval < time.Second {
		mistake("evaluation_interval %v: must be at least 1s, for example 30s", s.EvaluationInterval)
	}
	if s.QueryTimeout <= 0 {
		mistake("query_timeout %v: must be more than 0s, for example 10s", s.QueryTimeout)
	}
	for name, value := range s.ExternalLabels {
		if !model.LegacyValidation.IsValidLabelName(name) || name == model.MetricNameLabel {
			mistake("external_labels: %q is no name of a label; write for example team", name)
		}
		if !model.LabelValue(value).IsValid() {
			mistake("external_labels: %s: its value is not UTF-8", name)
		}
	}
	s.ExternalURL = strings.TrimRight(s.ExternalURL, "/")
	if u, err := url.Parse(s.ExternalURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		mistake("external_url: want the URL of the console as people reach it, such as https://lockkeeper.example.com")
	}
	slices.Sort(mistakes)
	files := read(s.Files)
	rules, err := files.parse()
	if err != nil {
		mistake("%v", err)
	}
	if len(mistakes) > 0 {
		return s, nil, sdk.Permanent(fmt.Errorf("configuration of %q: %s", c.Name, strings.Join(mistakes, "; ")))
	}
	return s, rules, nil
}

func (s *settings) externalLabels() labels.Labels { return labels.FromMap(s.ExternalLabels) }
