package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/lockkeeper/lockkeeper/"

// The files are parsed here: a test that asks `go list` is cached and stays green.
func TestHouseRules(t *testing.T) {
	for _, broken := range brokenRules(t, "..") {
		t.Error(broken)
	}
}

func TestHouseRulesCanFail(t *testing.T) {
	want := []string{
		"examples/show/main.go: imports gateway/mesh",
		"gateway/envoy/import_test.go: imports gateway/storage",
		"gateway/envoy/util/util.go: a package named util says nothing",
		"gateway/storage/storage.go: imports gateway/mesh",
		"gateway/storage/storage.go: init()",
		"plugins/storage/one/main.go: imports gateway/storage",
		"plugins/storage/one/main.go: imports plugins/notify/two",
		"probes/probes.go: imports xds",
		"sdk/long.go: 301 lines: split it, or say why by a comment that starts with \"long:\"",
		"sdk/sdk.go: imports probes",
		"xds/xds.go: imports gateway",
	}
	if diff := cmp.Diff(want, brokenRules(t, "testdata/bad")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// brokenRules parses every Go file below root and names what it does against the rules.
func brokenRules(t *testing.T, root string) (broken []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && name != root && (base == "testdata" || base == "bin" || base[0] == '.') {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(base) != ".go" {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		for _, what := range slices.Concat(forbiddenImports(path.Dir(relative), file), otherRules(file, strings.Count(string(source), "\n"))) {
			broken = append(broken, relative+": "+what)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return broken
}

func forbiddenImports(folder string, file *ast.File) (broken []string) {
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if target, ours := strings.CutPrefix(imported+"/", module); ours && !mayImport(folder+"/", target) {
			broken = append(broken, "imports "+strings.TrimSuffix(target, "/"))
		}
	}
	return broken
}

// mayImport is the import rule of ARCHITECTURE.md. Folders end with a slash.
func mayImport(folder, target string) bool {
	within := func(depth int) bool { // the folder's first names are a home of its own
		return strings.HasPrefix(target, strings.Join(strings.SplitAfter(folder, "/")[:depth], ""))
	}
	top, rest, _ := strings.Cut(folder, "/")
	switch top {
	case "sdk", "xds", "probes":
		return within(1)
	case "plugins": // plugins/kind/name: what its kind shares, too; another plugin is a program, which Go lets nobody import
		return within(2) || strings.HasPrefix(target, "sdk/")
	case "examples":
		return within(2) || strings.HasPrefix(target, "sdk/")
	case "gateway":
		if rest == "" { // package main
			return !strings.HasPrefix(target, "plugins/") && !strings.HasPrefix(target, "examples/")
		}
		if strings.HasPrefix(folder, "gateway/envoy/") && strings.HasPrefix(target, "gateway/mesh/") {
			return true
		}
		return within(2) || strings.HasPrefix(target, "sdk/") || strings.HasPrefix(target, "xds/") || strings.HasPrefix(target, "probes/")
	}
	return false
}

func otherRules(file *ast.File, lines int) (broken []string) {
	if ast.IsGenerated(file) {
		return nil
	}
	if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "model", "models"}, file.Name.Name) {
		broken = append(broken, "a package named "+file.Name.Name+" says nothing")
	}
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			broken = append(broken, "init()")
		}
	}
	explained := func(group *ast.CommentGroup) bool { return strings.HasPrefix(group.Text(), "long:") }
	if lines > 300 && !slices.ContainsFunc(file.Comments, explained) {
		broken = append(broken, strconv.Itoa(lines)+" lines: split it, or say why by a comment that starts with \"long:\"")
	}
	return broken
}
