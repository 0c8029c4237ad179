package sdk

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

type testSettings struct {
	Retention string            `yaml:"retention"`
	Interval  time.Duration     `yaml:"interval"`
	Big       int64             `yaml:"big"`
	Share     float64           `yaml:"share"`
	On        *bool             `yaml:"on"`
	Labels    map[string]string `yaml:"labels"`
	Secret    testSecret        `yaml:"secret"`
	Limits    struct {
		Percent int      `yaml:"percent"`
		Names   []string `yaml:"names"`
	} `yaml:"limits"`
}

type testSecret string

func TestDecode(t *testing.T) {
	got := testSettings{Retention: "30d", Interval: time.Second}
	raw := `{"interval":"5s","big":9223372036854775807,"limits":{"percent":20,"names":["a\/b","水 \u003c"]}}`
	if err := NewConfig("x", "", []byte(raw)).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Retention != "30d" || got.Interval != 5*time.Second || got.Big != math.MaxInt64 || got.Limits.Percent != 20 || got.Limits.Names[0] != "a/b" || got.Limits.Names[1] != "水 <" {
		t.Errorf("got %+v", got)
	}
}

func TestDecodeNothing(t *testing.T) {
	for _, raw := range []string{"", " ", "{}", "null"} {
		got := testSettings{Retention: "30d"}
		if err := NewConfig("x", "", []byte(raw)).Decode(&got); err != nil || got.Retention != "30d" {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
	}
}

func TestDecodeMistakes(t *testing.T) {
	f := func(raw string, want ...string) {
		t.Helper()
		err := NewConfig("vm", "", []byte(raw)).Decode(new(testSettings))
		if !IsPermanent(err) {
			t.Fatalf("%s: %v, want a permanent error", raw, err)
		}
		for _, text := range append(want, `"vm"`) {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v\nwants %s", raw, err, text)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v\ntells a value", raw, err)
		}
	}
	// an unknown key
	f(`{"retenton":"30d"}`, `unknown key "retenton"`)
	// an unknown key below another
	f(`{"limits":{"percent":1,"percnt":1}}`, `unknown key "limits.percnt"`)
	// the wrong type, whose value may be a secret
	f(`{"interval":"5s","limits":{"percent":"hunter2"}}`, `limits.percent: want a whole number such as 5, got a text`)
	// inside a list
	f(`{"limits":{"names":["a",{"password":"hunter2"}]}}`, `limits.names: want a text such as "abc", got keys with values`)
	// all at once
	f(`{"a":1,"limits":{"b":2,"percent":[]}}`, `unknown key "a"`, `unknown key "limits.b"`, `limits.percent: want a whole number such as 5, got a list`)
	// each with an example of what is right
	f(`{"interval":"soon","big":"x","limits":"hunter2","retention":[]}`, `interval: want a duration such as "30s" or "5m", got a text`,
		`big: want a whole number such as 5, got a text`, `limits: want keys with values, got a text`, `retention: want a text such as "abc", got a list`)
	f(`{"share":"x","on":3,"limits":{"names":{}},"labels":[]}`, `share: want a number such as 0.5, got a text`, `on: want true or false, got a number`,
		`limits.names: want a list such as ["a", "b"], got keys with values`, `labels: want keys with values such as {a: b}, got a list`)
	// a type with a name of its own
	f(`{"secret":{"file":"hunter2"}}`, `secret: want a single value, got keys with values`)
	// not JSON
	f(`{"retention"`, `not JSON`)
	// not an object
	f(`["hunter2"]`, `want`)
}

// FuzzDecode: no input makes Decode panic, and what encoding/json makes of the settings comes back the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"retention":"1y","limits":{"percent":3}}`), "30d")
	f.Add([]byte(`{"limits":{"names":[{"a":{"b":[]}}]}}`), "\"\\\n\t水\u2028")
	f.Add([]byte(`[[{"":1}]]`), "\x7f\u0080\u0085\ufeff\uffff\U0001F6A2")
	f.Fuzz(func(t *testing.T, raw []byte, retention string) {
		_ = NewConfig("x", "", raw).Decode(new(testSettings))
		encoded, err := json.Marshal(map[string]string{"retention": retention})
		if err != nil {
			t.Skip()
		}
		var want map[string]string
		if err := json.Unmarshal(encoded, &want); err != nil {
			t.Fatal(err)
		}
		var got testSettings
		if err := NewConfig("x", "", encoded).Decode(&got); err != nil {
			t.Fatalf("%q: %v", encoded, err)
		}
		if c := NewConfig("x", "", encoded); !c.same(NewConfig("y", "", append([]byte(" "), encoded...))) {
			t.Fatalf("%q is not the same as itself", encoded)
		}
		if got.Retention != want["retention"] {
			t.Fatalf("%q: got %q", encoded, got.Retention)
		}
	})
}
