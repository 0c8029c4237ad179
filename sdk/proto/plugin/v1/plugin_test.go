package pluginv1_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const golden = "testdata/wire.txt"

var update = flag.Bool("update", false, "take what was added into "+golden)

// What is in the golden list is on the wire of plugins that exist: it stays. What was added goes into it by -update,
// which takes nothing out of it.
func TestFieldsAreOnlyAdded(t *testing.T) {
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	released := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
	now := wire(pluginv1.File_plugin_v1_plugin_proto)
	gone, added := difference(released, now), difference(now, released)
	for _, line := range gone {
		t.Errorf("%s\nwas removed or changed: plugins that exist speak it; add a field beside it", line)
	}
	switch {
	case len(gone) > 0 || len(added) == 0:
	case *update:
		if err := os.WriteFile(golden, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s\nwere added: go test ./proto/... -update takes them into %s", strings.Join(added, "\n"), golden)
	}
}

// wire is every method and field of the file, a line each.
func wire(file protoreflect.FileDescriptor) (lines []string) {
	for i := range file.Services().Len() {
		service := file.Services().Get(i)
		for j := range service.Methods().Len() {
			m := service.Methods().Get(j)
			line := fmt.Sprintf("%s(%s) %s", m.FullName(), m.Input().FullName(), m.Output().FullName())
			if m.IsStreamingClient() || m.IsStreamingServer() {
				line += fmt.Sprintf(" streaming in=%v out=%v", m.IsStreamingClient(), m.IsStreamingServer())
			}
			lines = append(lines, line)
		}
	}
	for i := range file.Messages().Len() {
		message := file.Messages().Get(i)
		for j := range message.Fields().Len() {
			field := message.Fields().Get(j)
			lines = append(lines, fmt.Sprintf("%s = %d %s", field.FullName(), field.Number(), kind(field)))
		}
	}
	return lines
}

// kind is a field's type as a proto file writes it.
func kind(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return fmt.Sprintf("map<%s, %s>", kind(field.MapKey()), kind(field.MapValue()))
	case field.Message() != nil:
		return fmt.Sprintf("%s %s", field.Cardinality(), field.Message().FullName())
	}
	return fmt.Sprintf("%s %s", field.Cardinality(), field.Kind())
}

// difference are the lines of a that b does not have.
func difference(a, b []string) (only []string) {
	have := map[string]bool{}
	for _, line := range b {
		have[line] = true
	}
	for _, line := range a {
		if !have[line] {
			only = append(only, line)
		}
	}
	return only
}
