package pluginhost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
)

// Settings is the free-form configuration of one plugin. Which of its strings are secrets only the plugin knows,
// so all of them are opaque: printed or marshalled as [REDACTED].
//
// The values keep their types. A ${…} value is always text, exactly as its source has it but for newlines at its end:
// a token 0123 is not the number 83.
type Settings map[string]any

// Unmarshal implements confmap.Unmarshaler.
func (s *Settings) Unmarshal(conf *confmap.Conf) error {
	var text node
	if err := text.Unmarshal(conf); err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return err
	}
	*s, _ = hide(tree).(map[string]any)
	return nil
}

// wire is what crosses to the plugin: a JSON object, secrets in the clear.
func (s Settings) wire() ([]byte, error) {
	if len(s) == 0 {
		return []byte("{}"), nil
	}
	return encode(s.Plain())
}

// Plain is the configuration with its secrets in the clear, as the plugin gets it.
func (s Settings) Plain() map[string]any {
	plain, _ := reveal(map[string]any(s)).(map[string]any)
	return plain
}

// node is the JSON text of one value of a free-form map. It is of kind string because only to a string
// does confmap hand the text of a ${…} value; to any other type it gives what YAML makes of that text.
type node string

// UnmarshalScalar implements confmap.ScalarUnmarshaler.
func (n *node) UnmarshalScalar(value confmap.ScalarValue) error {
	raw := value.GetRaw()
	switch v := raw.(type) {
	case string:
		raw = strings.TrimRight(v, "\r\n")
	case []any:
		list := []node{}
		if err := value.Unmarshal(&list); err != nil {
			return err
		}
		raw = list
	}
	return n.set(raw)
}

// Unmarshal implements confmap.Unmarshaler.
func (n *node) Unmarshal(conf *confmap.Conf) error {
	object := map[string]node{}
	if err := conf.Unmarshal(&object); err != nil {
		return err
	}
	return n.set(object)
}

// MarshalJSON gives the text as it is. No text is null, for which confmap calls nothing.
func (n node) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return []byte(n), nil
}

func (n *node) set(value any) error {
	text, err := encode(value)
	if err != nil {
		return fmt.Errorf("a value of type %T cannot be handed to a plugin", value)
	}
	*n = node(text)
	return nil
}

func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// hide makes every string of a JSON tree opaque, and its numbers plain.
func hide(tree any) any {
	switch v := tree.(type) {
	case string:
		return configopaque.String(v)
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole
		}
		float, _ := v.Float64()
		return float
	}
	return walk(tree, hide)
}

// reveal undoes hide.
func reveal(tree any) any {
	if secret, ok := tree.(configopaque.String); ok {
		return string(secret)
	}
	return walk(tree, reveal)
}

// walk applies change to the children of an object or a list.
func walk(tree any, change func(any) any) any {
	switch v := tree.(type) {
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, child := range v {
			object[key] = change(child)
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i, child := range v {
			list[i] = change(child)
		}
		return list
	}
	return tree
}
