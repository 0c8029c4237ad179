package sdk

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Config is what a plugin is opened with.
type Config struct {
	// Name is the name that this instance has in the gateway's configuration, such as "victoriametrics".
	Name string

	// Listen is the host:port that the gateway chose for HTTP of the plugin's own, the same at each start.
	// Empty: the plugin chooses.
	Listen string

	raw []byte
}

// NewConfig is a Config whose settings are the JSON object raw; an empty raw is {}. The gateway's request
// makes one by itself: this is for a program that opens a plugin without a gateway.
func NewConfig(name, listen string, raw []byte) Config {
	return Config{Name: name, Listen: listen, raw: raw}
}

// Decode stores the settings in the struct that into points to, by its yaml tags. What is not set stays as it
// is, so defaults go in first. Durations are written "5s". An unknown key or a value of the wrong type is an
// error that names the key; all such mistakes are reported at once. The error is permanent.
func (c Config) Decode(into any) error {
	text, err := normalize(c.raw)
	if err != nil {
		return Permanent(fmt.Errorf("configuration of %q is not JSON: %w", c.Name, err))
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	err = decoder.Decode(into)
	var mistakes *yaml.TypeError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case !errors.As(err, &mistakes):
		return Permanent(fmt.Errorf("configuration of %q: %w", c.Name, err))
	}
	lines := strings.Split(text, "\n")
	told := make([]string, len(mistakes.Errors))
	for i, mistake := range mistakes.Errors {
		told[i] = explain(mistake, lines)
	}
	return Permanent(fmt.Errorf("configuration of %q: %s", c.Name, strings.Join(told, "; ")))
}

// same tells whether a plugin opened with c is one opened with other: the order of keys and the name do not count.
func (c Config) same(other Config) bool {
	settings, err := normalize(c.raw)
	others, otherErr := normalize(other.raw)
	if err != nil || otherErr != nil {
		return false
	}
	return c.Listen == other.Listen && cmp.Or(settings, "{}") == cmp.Or(others, "{}")
}

// normalize writes JSON with one key a line, so that the line in a decoder's message leads to the key, and
// with the escapes that YAML knows.
func normalize(raw []byte) (string, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return "", nil
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // keeps every digit
	if err := decoder.Decode(&value); err != nil {
		return "", err
	}
	encoded, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return "", err
	}
	return regexp.MustCompile(`[^\x{0A}\x{20}-\x{7E}\x{A0}-\x{D7FF}\x{E000}-\x{FEFE}\x{FF00}-\x{FFFD}\x{10000}-\x{10FFFF}]`).
		ReplaceAllStringFunc(string(encoded), func(s string) string { return fmt.Sprintf("\\u%04X", []rune(s)[0]) }), nil
}

// explain turns "line 3: cannot unmarshal !!str `abc` into int" into `memory.percent: want a whole number such as 5, got a text`.
// It leaves the value out, which may be a secret.
func explain(mistake string, lines []string) string {
	number, text, ok := strings.Cut(strings.TrimPrefix(mistake, "line "), ": ")
	line, err := strconv.Atoi(number)
	if !ok || err != nil || line < 1 || line > len(lines) {
		return mistake
	}
	path := keyPath(lines, line-1)
	if strings.Contains(text, "not found in type") {
		return fmt.Sprintf("unknown key %q", path)
	}
	if m := regexp.MustCompile(`(?s)^cannot unmarshal !!(\w+).* into (.+)$`).FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("%s: want %s, got %s", path, wanted(m[2], m[1]), given(m[1]))
	}
	return fmt.Sprintf("%s: %s", path, text)
}

// wanted describes a type of Go with an example, for who gave a type of YAML instead.
func wanted(kind, tag string) string {
	switch strings.TrimLeft(kind, "*") {
	case "time.Duration":
		return `a duration such as "30s" or "5m"`
	case "int", "int32", "int64", "uint", "uint32", "uint64":
		return "a whole number such as 5"
	case "float32", "float64":
		return "a number such as 0.5"
	case "bool":
		return "true or false"
	case "string":
		return `a text such as "abc"`
	}
	switch {
	case strings.HasPrefix(kind, "[]"):
		return `a list such as ["a", "b"]`
	case strings.HasPrefix(kind, "map["):
		return "keys with values such as {a: b}"
	}
	if tag == "map" { // which a struct takes: this is a text or number whose type has a name of its own
		return "a single value"
	}
	return "keys with values" // a struct
}

// given describes a type of YAML.
func given(tag string) string {
	switch tag {
	case "str":
		return "a text"
	case "int", "float":
		return "a number"
	case "seq":
		return "a list"
	case "map":
		return "keys with values"
	}
	return tag
}

// keyPath is the dotted path to the key on line i of indented JSON: the keys on the nearest lines above it
// that are indented less.
func keyPath(lines []string, i int) string {
	var path []string
	depth := len(lines[i]) + 1
	for ; i >= 0; i-- {
		text := strings.TrimLeft(lines[i], " ")
		indent := len(lines[i]) - len(text)
		if indent >= depth {
			continue
		}
		depth = indent
		var key string
		if end := strings.Index(text, `": `); end > 0 && json.Unmarshal([]byte(text[:end+1]), &key) == nil {
			path = append([]string{key}, path...)
		}
	}
	return strings.Join(path, ".")
}
