package xds

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// sourceFile is a file of clusters, machines or both, in YAML or JSON.
type sourceFile struct {
	Clusters []sourceCluster `yaml:"clusters"`
	Machines []sourceMachine `yaml:"machines"`
}

// sourceCluster is a cluster as a file has it.
type sourceCluster struct {
	Name           string           `yaml:"name"`
	ConnectTimeout time.Duration    `yaml:"connect_timeout"` // 0: 1s
	HTTP2          bool             `yaml:"http2"`           // gRPC, too
	Envoy          map[string]any   `yaml:"envoy"`           // anything else of Envoy's Cluster, in its own words
	Endpoints      []sourceEndpoint `yaml:"endpoints"`

	at string // file:line
}

// sourceEndpoint is an endpoint as a file has it.
type sourceEndpoint struct {
	Address  string  `yaml:"address"` // IP:port
	Machine  string  `yaml:"machine"` // empty: the one that has its IP
	IDC      string  `yaml:"idc"`     // empty: the machine's
	Weight   *uint32 `yaml:"weight"`  // left out: 1
	Workload string  `yaml:"workload"`
	App      string  `yaml:"app"`
	Version  string  `yaml:"version"`

	at string
}

// sourceMachine is a machine as a file has it: that of the receiver probes is such a file.
type sourceMachine struct {
	Name    string `yaml:"name"`
	Address string `yaml:"address"` // an IP, or IP:port
	IDC     string `yaml:"idc"`
	Probes  []any  `yaml:"probes"` // of no interest here

	at string
}

// parseSource reads the text of a file. All its mistakes are reported, each as file:line: what.
func parseSource(name string, text []byte) (*sourceFile, error) {
	f := &sourceFile{}
	document, err := decodeYAML(name, text, f)
	if err != nil {
		return nil, err
	}
	clusters, machines := child(document, "clusters"), child(document, "machines")
	if (clusters == nil || clusters.Tag == "!!null") && (machines == nil || machines.Tag == "!!null") {
		return nil, fmt.Errorf("%s: names neither clusters nor machines, which may be a mistake: write clusters: [] where there are to be none", name)
	}
	for i := range f.Clusters {
		node := item(clusters, i)
		f.Clusters[i].at = at(name, node)
		endpoints := child(node, "endpoints")
		for k := range f.Clusters[i].Endpoints {
			f.Clusters[i].Endpoints[k].at = at(name, item(endpoints, k))
		}
	}
	for i := range f.Machines {
		f.Machines[i].at = at(name, item(machines, i))
	}
	return f, nil
}

// decodeYAML reads a text of one document strictly, and returns its content for the lines.
func decodeYAML(name string, text []byte, to any) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, yamlMistakes(name, err)
	}
	if len(document.Content) == 0 {
		return nil, fmt.Errorf("%s: is empty", name)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(to); err != nil {
		return nil, yamlMistakes(name, err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: holds more than one document", name)
	}
	return document.Content[0], nil
}

// child is what a mapping has under a key; nil: nothing.
func child(node *yaml.Node, key string) *yaml.Node {
	if node = resolved(node); node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// item is an item of a list; nil: there is none.
func item(node *yaml.Node, i int) *yaml.Node {
	if node = resolved(node); node == nil || node.Kind != yaml.SequenceNode || i >= len(node.Content) {
		return nil
	}
	return node.Content[i]
}

func resolved(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func at(name string, node *yaml.Node) string {
	if node == nil {
		return name
	}
	return fmt.Sprintf("%s:%d", name, node.Line)
}

// someOf is the first of many mistakes: a file that is broken in each of 10,000 lines is not to fill a log.
func someOf(errs []error) error {
	const most = 20
	if n := len(errs); n > most {
		errs = append(errs[:most:most], fmt.Errorf("and %d mistakes more", n-most))
	}
	return errors.Join(errs...)
}

// yamlMistakes makes an error of one mistake a line out of those of the parser.
func yamlMistakes(name string, err error) error {
	line := regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	unknown := regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	var errs []error
	for text := range strings.SplitSeq(err.Error(), "\n") {
		text = strings.TrimSpace(text)
		if text == "yaml: unmarshal errors:" {
			continue
		}
		where := name
		if found := line.FindStringSubmatch(text); found != nil {
			where, text = name+":"+found[1], text[len(found[0]):]
		}
		if found := unknown.FindStringSubmatch(text); found != nil {
			text = fmt.Sprintf("unknown key %q", found[1])
		}
		errs = append(errs, fmt.Errorf("%s: %s", where, strings.TrimPrefix(text, "yaml: ")))
	}
	return someOf(errs)
}

// addressOf reads an IP, with or without a port.
func addressOf(text string) (netip.Addr, error) {
	if both, err := netip.ParseAddrPort(text); err == nil {
		return both.Addr().Unmap(), nil
	}
	ip, err := netip.ParseAddr(text)
	return ip.Unmap(), err
}
