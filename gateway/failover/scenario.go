package failover

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

//go:embed scenarios/*.yaml
var scenarios embed.FS // read only

// Scenarios are the names of those that the binary brings along, sorted.
func Scenarios() []string {
	files, err := fs.Glob(scenarios, "scenarios/*.yaml")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, strings.TrimSuffix(path.Base(file), ".yaml"))
	}
	return names
}

// Scenario is one that the binary brings along, by its name.
func Scenario(name string) ([]byte, error) {
	text, err := scenarios.ReadFile("scenarios/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("there is no scenario %q; there are %s", name, strings.Join(Scenarios(), ", "))
	}
	return text, nil
}

// RunScenario plays a scenario (SCENARIOS.md has the format) in fake time, and writes what would happen when, and why. An error names all
// mistakes in it, or all that it expects and that did not come about.
func RunScenario(ctx context.Context, r io.Reader, w io.Writer) error {
	s, err := parseScenario(r)
	if err != nil {
		return err
	}
	p := newDrill(s, w)
	if err := p.run(ctx); err != nil {
		return err
	}
	p.printf("-- %v: %d decisions changed what is served; %d of %d expectations hold\n", s.For, p.changed, p.held, p.held+len(p.failed))
	return errors.Join(append(p.failed, p.broken...)...)
}
