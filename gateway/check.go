package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/otelcol"
)

// check reports every mistake in the components' own sections. The Collector stops at the first, and does not say in which file it is.
func check(conf *confmap.Conf, factories otelcol.Factories, written origins) error {
	return errors.Join(
		checkSection(conf, "receivers", factories.Receivers, written),
		checkSection(conf, "processors", factories.Processors, written),
		checkSection(conf, "exporters", factories.Exporters, written),
		checkSection(conf, "extensions", factories.Extensions, written),
		checkAlone(conf, written),
		checkPlugins(conf, written),
	)
}

// checkPlugins reports what wants plugins when nothing runs them. The Collector notices when it starts.
func checkPlugins(conf *confmap.Conf, written origins) error {
	isOf := func(kind string) func(any) bool {
		return func(id any) bool { return componentType(fmt.Sprint(id)) == kind }
	}
	extensions, _ := conf.Get("service::extensions").([]any)
	if slices.ContainsFunc(extensions, isOf("plugins")) {
		return nil
	}
	var mistakes []error
	list := []string{"service", "extensions"}
	if i := slices.IndexFunc(extensions, isOf("alerting")); i >= 0 {
		mistakes = append(mistakes, mistake(written.of(list), list, fmt.Sprintf("%s wants the extension plugins: add it, or leave %[1]s out", extensions[i])))
	}
	pipelines, _ := conf.Get("service::pipelines").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(pipelines)) {
		pipeline, _ := pipelines[name].(map[string]any)
		exporters, _ := pipeline["exporters"].([]any)
		if i := slices.IndexFunc(exporters, isOf("plugin")); i >= 0 {
			mistakes = append(mistakes, mistake(written.of(list), []string{"service", "pipelines", name},
				fmt.Sprintf("%s wants the extension plugins: add it to service::extensions, or give this pipeline another exporter, such as debug", exporters[i])))
		}
	}
	return errors.Join(mistakes...)
}

// checkAlone reports where two are used of what there can be one of, since it answers at a path of the console.
func checkAlone(conf *confmap.Conf, written origins) error {
	answering := []string{"alerting", "cluster", "console", "dns", "envoy", "failover", "plugins"}
	used := map[string][]any{}
	used["extensions"], _ = conf.Get("service::extensions").([]any)
	pipelines, _ := conf.Get("service::pipelines").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(pipelines)) {
		pipeline, _ := pipelines[name].(map[string]any)
		receivers, _ := pipeline["receivers"].([]any)
		used["receivers"] = append(used["receivers"], receivers...)
	}
	var mistakes []error
	for _, section := range []string{"extensions", "receivers"} {
		first := map[string]string{}
		for _, id := range used[section] {
			id, kind := fmt.Sprint(id), componentType(fmt.Sprint(id))
			if other, two := first[kind]; !two {
				first[kind] = id
			} else if other != id && slices.Contains(answering, kind) {
				path := []string{section, id}
				mistakes = append(mistakes, mistake(written.of(path), path, fmt.Sprintf("there is %s already, and a gateway has one of these", other)))
			}
		}
	}
	return errors.Join(mistakes...)
}

func checkSection[F component.Factory](conf *confmap.Conf, name string, factories map[component.Type]F, written origins) error {
	section, err := conf.Sub(name)
	if err != nil {
		return written.explain([]string{name}, err)
	}
	entries := map[component.ID]map[string]any{}
	if err := section.Unmarshal(&entries); err != nil {
		return written.explain([]string{name}, err)
	}
	var mistakes []error
	for _, id := range slices.SortedFunc(maps.Keys(entries), func(a, b component.ID) int { return strings.Compare(a.String(), b.String()) }) {
		path := []string{name, id.String()}
		factory, known := factories[id.Type()]
		if !known {
			mistakes = append(mistakes, mistake(written.of(path), path, fmt.Sprintf("there is no %s %q: use one of %s",
				strings.TrimSuffix(name, "s"), id.Type(), strings.Join(typeNames(factories), ", "))))
			continue
		}
		entry, err := section.Sub(id.String())
		if err == nil {
			config := factory.CreateDefaultConfig()
			if err = entry.Unmarshal(&config); err == nil {
				err = confmap.Validate(config)
				for _, keys := range unknownKeys(reflect.TypeOf(config), entry.ToStringMap()) {
					mistakes = append(mistakes, written.unknown(slices.Concat(path, keys)))
				}
			}
		}
		if err != nil {
			mistakes = append(mistakes, written.explain(path, err))
		}
	}
	return errors.Join(mistakes...)
}

func typeNames[F component.Factory](factories map[component.Type]F) []string {
	var names []string
	for name, factory := range factories {
		if name == factory.Type() { // not an old alias
			names = append(names, name.String())
		}
	}
	slices.Sort(names)
	return names
}

// part is one part of a configuration, with its ${…} resolved.
type part struct {
	name string
	conf *confmap.Conf
}

// origins are the parts of a configuration in the order in which they are merged.
type origins []part

// of names the last part that sets a key, or else what is above it: what it says holds.
func (o origins) of(path []string) string {
	for ; len(path) > 0; path = path[:len(path)-1] {
		for _, p := range slices.Backward(o) {
			if p.conf.IsSet(strings.Join(path, confmap.KeyDelimiter)) {
				return p.name
			}
		}
	}
	return ""
}

// mistake is one sentence about a key.
func mistake(file string, path []string, text string) error {
	sentence := strings.Join(strings.Fields(text), " ")
	if len(path) > 0 {
		sentence = strings.Join(path, confmap.KeyDelimiter) + ": " + sentence
	}
	if file != "" {
		sentence = file + ": " + sentence
	}
	return errors.New(sentence)
}

// explain makes one sentence for each mistake of the Collector's nested errors, whose texts have many lines.
func (o origins) explain(path []string, err error) error {
	if many, ok := any(err).(interface{ Unwrap() []error }); ok {
		var mistakes []error
		for _, one := range many.Unwrap() {
			mistakes = append(mistakes, o.explain(path, one))
		}
		return errors.Join(mistakes...)
	}
	if inner := errors.Unwrap(err); inner != nil {
		if keys, ok := keysOf(err, inner); ok {
			return o.explain(slices.Concat(path, keys), inner)
		}
	}
	unknown, ok := strings.CutPrefix(err.Error(), "has invalid keys: ")
	if !ok {
		return mistake(o.of(path), path, err.Error())
	}
	var mistakes []error
	for key := range strings.SplitSeq(unknown, ", ") {
		mistakes = append(mistakes, o.unknown(append(slices.Clone(path), key)))
	}
	return errors.Join(mistakes...)
}

func (o origins) unknown(path []string) error {
	return mistake(o.of(path), path, "unknown key: remove it or correct its name; `lockkeeper config` prints every key")
}

// keysOf tells the keys that err adds to inner; ok is false if it says more than keys.
func keysOf(err, inner error) (keys []string, ok bool) {
	if field, ok := any(err).(interface{ Name() string }); ok { // mapstructure's DecodeError
		if isGoType(field.Name()) {
			return nil, true
		}
		return keysIn(field.Name()), true
	}
	added := strings.TrimSuffix(err.Error(), inner.Error())
	switch {
	case strings.HasPrefix(added, "decoding failed due to the following error(s)"),
		added == "", added == "failed to get config: ", added == "cannot unmarshal the configuration: ":
		return nil, true
	}
	path, ok := strings.CutSuffix(added, ": ") // confmap.Validate's
	return strings.Split(path, confmap.KeyDelimiter), ok && !strings.Contains(path, " ")
}

// keysIn are the keys in mapstructure's name of a field, such as zones[a.example].names[api]: keys in brackets may have dots.
func keysIn(name string) (keys []string) {
	for name != "" {
		if key, rest, ok := strings.Cut(strings.TrimPrefix(name, "["), "]"); ok && name[0] == '[' {
			keys, name = append(keys, key), strings.TrimPrefix(rest, ".")
			continue
		}
		end := strings.IndexAny(name, ".[")
		if end <= 0 { // it is the last one
			return append(keys, name)
		}
		keys, name = append(keys, name[:end]), strings.TrimPrefix(name[end:], ".")
	}
	return keys
}

// isGoType tells a type's name, such as configtls.ServerConfig, which stands for the root of what is decoded, from a key.
func isGoType(name string) bool {
	_, typeName, ok := strings.Cut(name, ".")
	return name == "" || name == "otelcol.configSettings" || ok && typeName != "" && unicode.IsUpper(rune(typeName[0]))
}
