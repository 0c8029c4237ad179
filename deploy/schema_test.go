package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// schemas are OpenAPI schemas by apiVersion and kind, as an API server has them, but that what they do not name is a mistake.
type schemas struct {
	kinds       map[string]object
	definitions object // what they refer to
}

// kubernetesSchemas are those of Kubernetes' own kinds.
func kubernetesSchemas(t *testing.T) schemas {
	t.Helper()
	file := needs(t, "helm", ".cache/schemas/kubernetes-1.36.3.json", "make helm")
	var document struct{ Definitions object }
	require.NoError(t, json.Unmarshal([]byte(readFile(t, file)), &document))
	s := schemas{kinds: map[string]object{}, definitions: document.Definitions}
	for _, definition := range document.Definitions {
		kinds, _ := dig(definition, "x-kubernetes-group-version-kind").([]any)
		for _, kind := range kinds {
			s.kinds[strings.TrimPrefix(fmt.Sprintf("%v/%v/%v", dig(kind, "group"), dig(kind, "version"), dig(kind, "kind")), "/")] = definition.(object)
		}
	}
	return s
}

// customSchemas are those of a file of CustomResourceDefinitions.
func customSchemas(t *testing.T, file string) schemas {
	t.Helper()
	s := schemas{kinds: map[string]object{}}
	for _, definition := range documents(t, readFile(t, file)) {
		versions, _ := dig(definition, "spec", "versions").([]any)
		for _, version := range versions {
			schema := maps.Clone(dig(version, "schema", "openAPIV3Schema").(object))
			schema["properties"] = maps.Clone(schema["properties"].(object))
			for _, name := range []string{"apiVersion", "kind"} {
				schema["properties"].(object)[name] = object{"type": "string"}
			}
			schema["properties"].(object)["metadata"] = object{"type": "object"}
			s.kinds[fmt.Sprintf("%v/%v/%v", dig(definition, "spec", "group"), dig(version, "name"), dig(definition, "spec", "names", "kind"))] = schema
		}
	}
	return s
}

// check lists what is wrong with a resource.
func (s schemas) check(resource object) []string {
	kind := fmt.Sprintf("%v/%v", resource["apiVersion"], resource["kind"])
	schema, known := s.kinds[kind]
	if !known {
		return []string{kind + ": unknown kind"}
	}
	return s.mistakes(kind, schema, resource)
}

func (s schemas) mistakes(path string, schema object, value any) (all []string) {
	if reference, ok := schema["$ref"].(string); ok {
		return s.mistakes(path, s.definitions[strings.TrimPrefix(reference, "#/definitions/")].(object), value)
	}
	add := func(text string, args ...any) { all = append(all, path+": "+fmt.Sprintf(text, args...)) }
	if enum, ok := schema["enum"].([]any); ok && !slices.ContainsFunc(enum, func(one any) bool { return fmt.Sprint(one) == fmt.Sprint(value) }) {
		add("%v is none of %v", value, enum)
	}
	if alternatives, ok := schema["oneOf"].([]any); ok {
		if n := s.fitting(alternatives, value); n != 1 {
			add("fits %d of what it may be one of", n)
		}
	}
	switch kind := typeOf(schema); kind {
	case "object":
		fields, ok := value.(object)
		if !ok {
			add("is %T, no object", value)
			return all
		}
		return append(all, s.fieldMistakes(path, schema, fields)...)
	case "array":
		items, ok := value.([]any)
		if !ok {
			add("is %T, no list", value)
		}
		for i, item := range items {
			all = append(all, s.mistakes(fmt.Sprintf("%s[%d]", path, i), schema["items"].(object), item)...)
		}
	case "string":
		text, ok := value.(string)
		if pattern, given := schema["pattern"].(string); ok && given && !regexp.MustCompile(pattern).MatchString(text) {
			add("%q does not match %s", text, pattern)
		}
		if !ok {
			add("is %T, no string", value)
		}
	case "integer":
		n, ok := value.(int)
		if limit := number(schema["maximum"]); ok && limit != nil && float64(n) > *limit {
			add("%d is more than %v", n, *limit)
		}
		if !ok {
			add("is %T, no integer", value)
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			add("is %T, no boolean", value)
		}
	}
	return all
}

func (s schemas) fieldMistakes(path string, schema, fields object) (all []string) {
	properties, _ := schema["properties"].(object)
	others, _ := schema["additionalProperties"].(object)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		below := path + "." + name
		if property, known := properties[name].(object); known {
			all = append(all, s.mistakes(below, property, fields[name])...)
		} else if others != nil {
			all = append(all, s.mistakes(below, others, fields[name])...)
		} else if properties != nil && schema["x-kubernetes-preserve-unknown-fields"] != true {
			all = append(all, below+": unknown field")
		}
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, given := fields[name.(string)]; !given {
			all = append(all, fmt.Sprintf("%s.%v: missing", path, name))
		}
	}
	return all
}

// fitting counts the alternatives that a value satisfies; they say which fields are given, not what is in them.
func (s schemas) fitting(alternatives []any, value any) (n int) {
	fields, _ := value.(object)
	given := func(required any) bool {
		names, _ := required.([]any)
		return !slices.ContainsFunc(names, func(name any) bool { _, is := fields[name.(string)]; return !is })
	}
	for _, alternative := range alternatives {
		if none, ok := dig(alternative, "not", "anyOf").([]any); ok {
			if !slices.ContainsFunc(none, func(one any) bool { return given(dig(one, "required")) }) {
				n++
			}
		} else if given(dig(alternative, "required")) {
			n++
		}
	}
	return n
}

func typeOf(schema object) string {
	if schema["format"] == "int-or-string" || schema["x-kubernetes-int-or-string"] == true {
		return "anything"
	}
	kind, _ := schema["type"].(string)
	return kind
}

func number(value any) *float64 {
	switch value := value.(type) {
	case float64:
		return &value
	case int:
		n := float64(value)
		return &n
	}
	return nil
}

func TestSchemasFindMistakes(t *testing.T) {
	kubernetes := kubernetesSchemas(t)
	f := func(text string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, kubernetes.check(documents(t, text)[0])); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	// Nothing is wrong.
	f(`{apiVersion: v1, kind: Service, metadata: {name: a, labels: {b: c}}, spec: {ports: [{port: 1, targetPort: dns}]}}`)
	// A kind that there is not.
	f(`{apiVersion: policy/v1beta1, kind: PodDisruptionBudget}`, "policy/v1beta1/PodDisruptionBudget: unknown kind")
	// An unknown field, a number as text, text as a number, and a field that is missing.
	f(`{apiVersion: v1, kind: Service, metadata: {name: 5}, spec: {port: 1, ports: [{port: "1"}, {name: a}]}}`,
		"v1/Service.metadata.name: is int, no string",
		"v1/Service.spec.port: unknown field",
		"v1/Service.spec.ports[0].port: is string, no integer",
		"v1/Service.spec.ports[1].port: missing")
	// A list that is none.
	f(`{apiVersion: v1, kind: Service, spec: {ports: {port: 1}}}`, "v1/Service.spec.ports: is map[string]interface {}, no list")
}
