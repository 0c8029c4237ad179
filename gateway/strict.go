package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"
)

// unknownKeys finds the keys of tree that no field of t takes: the Collector's HTTP settings swallow them.
// Types that decode themselves in another way are left to themselves.
func unknownKeys(t reflect.Type, tree any) (paths [][]string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	keys, ok := tree.(map[string]any)
	if !ok || t.Kind() != reflect.Struct {
		return nil
	}
	if strings.HasSuffix(t.PkgPath(), "/configoptional") { // Optional[T] adds enabled to the keys of T
		value, _ := t.FieldByName("value")
		keys = maps.Clone(keys)
		delete(keys, "enabled")
		return unknownKeys(value.Type, keys)
	}
	if decodesItself(t) {
		return nil
	}
	known := map[string]reflect.Type{}
	addFields(known, t)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		field, ok := known[key]
		if !ok {
			paths = append(paths, []string{key})
			continue
		}
		for _, below := range unknownKeys(field, keys[key]) {
			paths = append(paths, append([]string{key}, below...))
		}
	}
	return paths
}

func decodesItself(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[confighttp.ServerConfig](), reflect.TypeFor[confighttp.ClientConfig]():
		return false
	}
	return reflect.PointerTo(t).Implements(reflect.TypeFor[confmap.Unmarshaler]())
}

// addFields collects the keys that a struct takes, with the type of each.
func addFields(known map[string]reflect.Type, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		switch {
		case !field.IsExported() || name == "-":
		case strings.Contains(options, "squash"):
			addFields(known, field.Type)
		case name == "":
			known[field.Name] = field.Type
		default:
			known[name] = field.Type
		}
	}
}
