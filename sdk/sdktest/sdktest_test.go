package sdktest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/sdk"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func TestMain(m *testing.M) {
	// go-plugin's client keeps these two until its process ends.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/hashicorp/go-plugin.(*GRPCBroker).Run"))
}

func TestInProcess(t *testing.T) {
	open := func(_ context.Context, c sdk.Config) (*sdk.Storage, error) {
		var none struct{}
		if err := c.Decode(&none); err != nil {
			return nil, err
		}
		return &sdk.Storage{WriteMetrics: func(_ context.Context, m sdk.Metrics) error {
			_, err := m.Decode()
			return err
		}}, nil
	}
	sdktest.Storage(t, open, nil)
}

func TestAsAProcess(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "storage-memory")
	if out, err := exec.Command("go", "build", "-o", binary, "./testdata/memory").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sdktest.Process(t, binary, map[string]any{"limit": 5})
}

// The README shows the plugin that the test above runs.
func TestReadmeShowsTheTestedPlugin(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("testdata/memory/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(source), "package main")
	if !strings.Contains(string(readme), "```go\npackage main"+program+"```") {
		t.Error("the program in README.md differs from testdata/memory/main.go")
	}
}
