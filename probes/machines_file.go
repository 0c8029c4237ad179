package probes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// machinesFile is a file of machines, in YAML or JSON.
type machinesFile struct {
	Machines []machine `yaml:"machines"`

	name  string
	lines []int // of the machines
}

// machine is what is known of one.
type machine struct {
	Name    string         `yaml:"name"`
	Address string         `yaml:"address"` // an IP; IP:port where the module of all machines wants a port
	IDC     string         `yaml:"idc"`
	Probes  []machineProbe `yaml:"probes"` // besides that by the module of all machines
}

// machineProbe is one more probe of a machine. It connects to the machine's address, whatever host its target has.
type machineProbe struct {
	Module string `yaml:"module"`
	Target string `yaml:"target"`
}

// parseMachines reads the text of a file. All its mistakes are reported, each as file:line: what.
func parseMachines(name string, text []byte) (*machinesFile, error) {
	f := &machinesFile{name: name}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, f.mistakes(err)
	}
	if len(document.Content) > 0 && document.Content[0].Kind == yaml.SequenceNode {
		return nil, fmt.Errorf("%s:%d: the list of machines must stand under the key machines", name, document.Content[0].Line)
	}
	list := machinesOf(&document)
	if list == nil || list.Tag == "!!null" {
		return nil, fmt.Errorf("%s: names no machines, which may be a mistake: write machines: [] where there are to be none", name)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(f); err != nil {
		return nil, f.mistakes(err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: holds more than one document", name)
	}
	for _, node := range list.Content {
		f.lines = append(f.lines, node.Line)
	}
	if len(f.lines) != len(f.Machines) { // the list is an alias
		return nil, fmt.Errorf("%s:%d: machines: must be a list of entries like {name: m11, address: 10.1.0.11, idc: idc1}", name, list.Line)
	}
	return f, nil
}

// machinesOf is what a document has under machines; nil when there is none.
func machinesOf(document *yaml.Node) *yaml.Node {
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	content := document.Content[0].Content
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].Value == "machines" {
			return content[i+1]
		}
	}
	return nil
}

// targets are the probes of all machines.
func (f *machinesFile) targets(c *Config, modules map[string]*Module) ([]Target, error) {
	targets := make([]Target, 0, len(f.Machines))
	var errs []error
	lines := map[string]int{}
	for i := range f.Machines {
		m := &f.Machines[i]
		if before, ok := lines[m.Name]; ok {
			errs = append(errs, fmt.Errorf("%s:%d: machine %q is named in line %d already", f.name, f.lines[i], m.Name, before))
			continue
		}
		lines[m.Name] = f.lines[i]
		its, mistakes := m.targets(c, modules)
		for _, err := range mistakes {
			errs = append(errs, fmt.Errorf("%s:%d: machine %q: %w", f.name, f.lines[i], m.Name, err))
		}
		targets = append(targets, its...)
	}
	return targets, some(errs)
}

func (m *machine) targets(c *Config, modules map[string]*Module) (targets []Target, errs []error) {
	if !isName(m.Name) {
		errs = append(errs, errors.New("name: may have letters, digits, -, . and _"))
	}
	if m.IDC != "" && !isName(m.IDC) {
		errs = append(errs, fmt.Errorf("idc: %q may have letters, digits, -, . and _", m.IDC))
	}
	ip, _, err := splitAddress(m.Address)
	if err != nil {
		return nil, append(errs, fmt.Errorf("address: %q is no IP address", m.Address))
	}
	one := Target{Module: c.Machines.Module, Target: m.Address, Subject: "machine/" + m.Name, IDC: m.IDC, Interval: c.Machines.Interval}
	targets = append(targets, one)
	for _, p := range m.Probes {
		one.Module, one.Target, one.Address = p.Module, p.Target, ip.String()
		if slices.Contains(targets, one) {
			errs = append(errs, fmt.Errorf("probes: %s %s is there twice", p.Module, p.Target))
		}
		targets = append(targets, one)
	}
	for i := range targets {
		key := "address"
		if i > 0 {
			key = "probes"
		}
		module, ok := modules[targets[i].Module]
		if !ok {
			known := strings.Join(slices.Sorted(maps.Keys(modules)), ", ")
			errs = append(errs, fmt.Errorf("%s: there is no module %q in the configuration: use one of %s", key, targets[i].Module, known))
		} else if kind, ok := kinds()[module.Prober]; ok { // if not, Validate of the module says so
			if err := kind.check(&targets[i]); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
			}
		}
	}
	return targets, errs
}

// some is the first of many mistakes: a file that is broken in each of 10,000 lines is not to fill a log.
func some(errs []error) error {
	const most = 20
	if n := len(errs); n > most {
		errs = append(errs[:most:most], fmt.Errorf("and %d mistakes more", n-most))
	}
	return errors.Join(errs...)
}

var (
	yamlLine     = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	unknownField = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
)

// mistakes makes an error of one mistake a line out of those of the parser.
func (f *machinesFile) mistakes(err error) error {
	var errs []error
	for text := range strings.SplitSeq(err.Error(), "\n") {
		text = strings.TrimSpace(text)
		if text == "yaml: unmarshal errors:" {
			continue
		}
		line := ""
		if found := yamlLine.FindStringSubmatch(text); found != nil {
			line, text = ":"+found[1], text[len(found[0]):]
		}
		if found := unknownField.FindStringSubmatch(text); found != nil {
			text = fmt.Sprintf("unknown key %q", found[1])
		}
		errs = append(errs, fmt.Errorf("%s%s: %s", f.name, line, strings.TrimPrefix(text, "yaml: ")))
	}
	return some(errs)
}
