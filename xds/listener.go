package xds

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
)

// envoyFile is a file of resources, in the form in which Envoy reads files itself.
type envoyFile struct {
	Version   string           `yaml:"version_info"` // of no interest: versions come from the content
	Resources []map[string]any `yaml:"resources"`
}

// named is what resources of all types can.
type named interface {
	proto.Message
	GetName() string
	ValidateAll() error
}

// parseListeners reads a file of listeners.
func parseListeners(name string, text []byte) (map[string]*Resource, error) {
	all := map[string]*Resource{}
	err := parseResources(name, text, func() *listenerv3.Listener { return &listenerv3.Listener{} }, func(l *listenerv3.Listener) error {
		resource, err := NewResource(l.GetName(), l)
		all[l.GetName()] = resource
		return err
	})
	return all, err
}

// parseResources reads resources of one type, and hands over each. All mistakes are reported, each as file:line: what.
func parseResources[M named](name string, text []byte, make func() M, take func(M) error) error {
	var f envoyFile
	document, err := decodeYAML(name, text, &f)
	if err != nil {
		return err
	}
	list := child(document, "resources")
	if list == nil || list.Tag == "!!null" {
		return fmt.Errorf("%s: names no resources, which may be a mistake: write resources: [] where there are to be none", name)
	}
	var errs []error
	lines := map[string]string{}
	for i, fields := range f.Resources {
		where := at(name, item(list, i))
		one := make()
		err := readResource(fields, one)
		if before, ok := lines[one.GetName()]; err == nil && ok {
			err = fmt.Errorf("is there already, at %s", before)
		}
		if err == nil {
			lines[one.GetName()] = where
			err = take(one)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: resource %q: %w", where, fmt.Sprint(fields["name"]), err))
		}
	}
	return someOf(errs)
}

func readResource(fields map[string]any, one named) error {
	want := typePrefix + string(one.ProtoReflect().Descriptor().FullName())
	if is, ok := fields["@type"]; ok && is != want {
		return fmt.Errorf("@type: must be %s, is %v", want, is)
	}
	delete(fields, "@type")
	if err := fromYAML(fields, one); err != nil {
		return err
	}
	if one.GetName() == "" {
		return errors.New("name: missing")
	}
	return one.ValidateAll()
}

// explainProto says what to do about a mistake that protojson found.
func explainProto(err error) error {
	if err == nil {
		return nil
	}
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ") // protobuf makes its texts unfit to be compared
	text = regexp.MustCompile(`^proto:\s*(syntax error )?(\(line \d+:\d+\): )?`).ReplaceAllString(text, "")
	if kind := regexp.MustCompile(`unable to resolve "([^"]*)"`).FindStringSubmatch(text); kind != nil {
		return fmt.Errorf(`the gateway does not know %s: write {"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: %s, value: {…}} instead, which Envoy takes as well`, kind[1], kind[1])
	}
	return errors.New(text)
}
