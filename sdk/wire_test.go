package sdk

import (
	"os"
	"strings"
	"testing"
)

// The document for other languages has what the code has.
func TestWireIsDocumented(t *testing.T) {
	document, err := os.ReadFile("proto/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range environmentNames() {
		t.Setenv(name, "set") // so that each is inherited
	}
	t.Setenv("TOKEN", "secret")
	handshake := Handshake()
	want := []string{handshake.MagicCookieKey, handshake.MagicCookieValue, HostPipeEnv}
	for _, variable := range Environment() {
		name, _, _ := strings.Cut(variable, "=")
		want = append(want, strings.ToUpper(name))
	}
	if len(want) != 3+len(environmentNames()) {
		t.Errorf("a plugin inherits %v", want[3:])
	}
	for _, name := range want {
		if !strings.Contains(string(document), "`"+name+"`") {
			t.Errorf("proto/README.md does not have %s", name)
		}
	}
}
