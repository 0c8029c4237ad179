package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
)

// scaffold has what new plugins begin as: a folder for each kind, and what all have.
//
//go:embed scaffold
var scaffold embed.FS

const sdkModule = "github.com/lockkeeper/lockkeeper/sdk"

// newPlugin is what the templates of a plugin are filled with.
type newPlugin struct {
	Kind, Name string
	Binary     string // kind-name, as the gateway looks for it
	Env        string // the name, as a variable of the environment begins
	Module     string
	Version    string // of the SDK
	SDK        string // where it is on this machine; empty: fetched as any module
}

func newPluginNewCommand() *cobra.Command {
	var p newPlugin
	var directory string
	cmd := &cobra.Command{
		Use:   "new KIND NAME [--dir DIR] [--sdk PATH] [--module PATH]",
		Short: "Write a new plugin in Go, which works as it is",
		Long: `Write the source of a plugin in Go, with its tests and a README that says how to go on. KIND is what it does:

  notification   tells people: posts each notification to a URL
  storage        stores metrics and logs: appends them to a file
  alerting       finds what is wrong: asks for a PromQL expression

It needs nothing of Lockkeeper's but the SDK, and any module cache or proxy that has that. If go is found, its module is made tidy, too.`,
		Example: `  lockkeeper plugin new notification acme
  lockkeeper plugin new storage archive --dir ../archive --module example.com/ops/archive --sdk ~/lockkeeper/sdk`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("say what to write: lockkeeper plugin new notification|storage|alerting NAME")
			}
			return nil
		},
		RunE: does(func(cmd *cobra.Command) error {
			p.Kind, p.Name = cmd.Flags().Arg(0), cmd.Flags().Arg(1)
			if err := p.complete(version); err != nil {
				return err
			}
			if directory == "" {
				directory = p.Binary
			}
			if err := p.write(directory); err != nil {
				return err
			}
			return nextSteps(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), &p, directory)
		}),
	}
	cmd.Flags().StringVar(&directory, "dir", "", "`DIR` to write to, new or empty (default KIND-NAME)")
	cmd.Flags().StringVar(&p.SDK, "sdk", "", "`PATH` of the SDK on this machine: the folder sdk of Lockkeeper's source; default: the SDK of this release")
	cmd.Flags().StringVar(&p.Module, "module", "", "module `PATH` (default example.com/KIND-NAME)")
	return cmd
}

// complete checks what was asked for and adds what follows from it. The SDK has the version of the gateway.
func (p *newPlugin) complete(version string) error {
	if !slices.Contains([]string{"notification", "storage", "alerting"}, p.Kind) {
		return usageError{fmt.Errorf("%q is no kind of plugin: notification, storage or alerting", p.Kind)}
	}
	if !isPluginName(p.Name) {
		return usageError{fmt.Errorf("%q is no name: at most 63 of a-z, 0-9 and -, and neither starts nor ends with -", p.Name)}
	}
	p.Binary = p.Kind + "-" + p.Name
	p.Env = strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_"))
	if p.Module == "" {
		p.Module = "example.com/" + p.Binary
	}
	if !regexp.MustCompile(`^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*$`).MatchString(p.Module) {
		return usageError{fmt.Errorf("--module %q: is no module path such as example.com/acme", p.Module)}
	}
	if p.SDK != "" {
		return p.useSDK()
	}
	p.Version = version
	// What `git describe` prints for a commit that is not a release ends with its distance or its id.
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?$`).MatchString(version) {
		return usageError{fmt.Errorf("this is lockkeeper %s, which is no release, so that there is no SDK of its version to fetch: "+
			"give --sdk PATH, the folder sdk of Lockkeeper's source", version)}
	}
	return nil
}

// useSDK takes the SDK from this machine.
func (p *newPlugin) useSDK() error {
	absolute, err := filepath.Abs(p.SDK)
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(absolute, "go.mod"))
	if err != nil || !slices.Contains(strings.Split(string(mod), "\n"), "module "+sdkModule) {
		return usageError{fmt.Errorf("--sdk %q: is not the SDK: give the folder sdk of Lockkeeper's source", p.SDK)}
	}
	p.SDK, p.Version = absolute, "v0.0.0"
	return nil
}

// write fills the templates of the kind, and those of all kinds, into a directory in which nothing is.
func (p *newPlugin) write(directory string) error {
	if there, err := os.ReadDir(directory); err == nil && len(there) > 0 {
		return usageError{fmt.Errorf("%s is there and not empty: give another --dir", directory)}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for _, folder := range []string{"scaffold", path.Join("scaffold", p.Kind)} {
		files, err := scaffold.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, file := range files {
			if file.IsDir() {
				continue
			}
			text, err := p.fill(path.Join(folder, file.Name()))
			if err != nil {
				return err
			}
			name := strings.TrimSuffix(file.Name(), ".tmpl")
			if name == "gitignore" {
				name = ".gitignore"
			}
			if err := os.WriteFile(filepath.Join(directory, name), text, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *newPlugin) fill(file string) ([]byte, error) {
	parsed, err := template.New(path.Base(file)).Delims("[[", "]]").ParseFS(scaffold, file)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = parsed.Execute(&text, p)
	return text.Bytes(), err
}

// nextSteps says how to go on, and makes the module tidy if go is there.
func nextSteps(ctx context.Context, out, notes io.Writer, p *newPlugin, directory string) error {
	_, err := exec.LookPath("go")
	steps := []string{"cd " + shellWord(directory), "go mod tidy", "go test ./... && go build -o " + p.Binary + " .", "lockkeeper plugin test ./" + p.Binary + " --config test.yaml"}
	if err == nil {
		tidy := exec.CommandContext(ctx, "go", "mod", "tidy")
		tidy.Dir, tidy.Stderr = directory, notes
		if err := tidy.Run(); err != nil {
			return fmt.Errorf("%s is written, but there `go mod tidy` failed: run it again when what it says is cured: %w", directory, err)
		}
		steps = slices.Delete(steps, 1, 2)
	}
	_, err = fmt.Fprintf(out, "%s has a plugin, kind %s. Its README.md says how to go on:\n\n  %s\n", directory, p.Kind, strings.Join(steps, "\n  "))
	return err
}

// shellWord is s as a shell reads it back.
func shellWord(s string) string {
	if !strings.ContainsAny(s, " \t\n\"'\\$`&|;<>()*?[]#~!{}") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
