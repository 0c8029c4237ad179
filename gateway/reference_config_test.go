package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// configured are our own components, by where their keys stand in a configuration.
func configured(t *testing.T) []documented {
	factories, err := components()
	require.NoError(t, err)
	receivers, exporters, extensions := factories.Receivers, factories.Exporters, factories.Extensions
	typ := component.MustNewType
	return []documented{
		{"receivers::envoy", "envoy", receivers[typ("envoy")].CreateDefaultConfig()},
		{"receivers::probes", "../probes", receivers[typ("probes")].CreateDefaultConfig()},
		{"exporters::plugin", "storage", exporters[typ("plugin")].CreateDefaultConfig()},
		{"extensions::plugins", "pluginhost", extensions[typ("plugins")].CreateDefaultConfig()},
		{"extensions::alerting", "alerting", extensions[typ("alerting")].CreateDefaultConfig()},
		{"extensions::failover", "failover", extensions[typ("failover")].CreateDefaultConfig()},
		{"extensions::dns", "dns", extensions[typ("dns")].CreateDefaultConfig()},
		{"extensions::xds", "../xds", extensions[typ("xds")].CreateDefaultConfig()},
		{"extensions::cluster", "cluster", extensions[typ("cluster")].CreateDefaultConfig()},
		{"extensions::console", "console", extensions[typ("console")].CreateDefaultConfig()},
	}
}

// documented is a component whose keys are described.
type documented struct {
	path     string
	folder   string
	defaults component.Config
}

const configReference = "CONFIG.md"

// The reference of the configuration is what the code says: each key of ours with its type, its default and what the code's comment tells of it.
func TestReferenceOfConfiguration(t *testing.T) {
	var page strings.Builder
	page.WriteString("# Every key of the configuration\n\nMade of the code by `go test ./gateway -run Reference -update`; examples and reasons are in the components' READMEs. " +
		"`NAME` is a key that you choose, `[]` an element of a list.\nKeys of the stock components are the Collector's. What a file of yours leaves out is the [embedded default](lockkeeper.yaml)'s, then the default below.\n")
	for _, c := range configured(t) {
		defaults := confmap.New()
		require.NoError(t, defaults.Marshal(c.defaults))
		r := referenceOf(t, c.folder, defaults)
		fmt.Fprintf(&page, "\n## `%s`\n\nMore: [README](%s).\n\n| key | type | default | |\n|---|---|---|---|\n", c.path, filepath.ToSlash(filepath.Join(c.folder, "README.md")))
		r.structure("Config", "")
		page.WriteString(strings.Join(r.rows, ""))
		require.Empty(t, r.silent, "fields in %s without a comment that says what they are", c.folder)
	}
	if *update {
		require.NoError(t, os.WriteFile(configReference, []byte(page.String()), 0o644))
	}
	now, err := os.ReadFile(configReference)
	require.NoError(t, err)
	if diff := cmp.Diff(page.String(), string(now)); diff != "" {
		t.Errorf("%s is not what the code says (go test ./gateway -run Reference -update writes it):\n%s", configReference, diff)
	}
}

// reference is the table of one component.
type reference struct {
	types    map[string]ast.Expr
	defaults *confmap.Conf
	rows     []string
	silent   []string
}

// referenceOf reads the types that a folder declares.
func referenceOf(t *testing.T, folder string, defaults *confmap.Conf) *reference {
	r := &reference{types: map[string]ast.Expr{}, defaults: defaults}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				r.types[spec.Name.Name] = spec.Type
			}
			return true
		})
	}
	return r
}

// structure adds the rows of a struct's fields, below a key.
func (r *reference) structure(name, below string) {
	for _, field := range r.types[name].(*ast.StructType).Fields.List {
		if field.Tag == nil {
			continue
		}
		key, options, _ := strings.Cut(reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("mapstructure"), ",")
		if key == "-" {
			continue
		}
		at := strings.TrimPrefix(below+"::"+key, "::")
		if strings.Contains(options, "squash") {
			at = below
		}
		r.field(field, at)
	}
}

// field adds a field's own row, and below it those of what it consists of.
func (r *reference) field(field *ast.Field, at string) {
	kind, within, suffix := r.kind(field.Type)
	r.row(at, kind, field)
	if within != "" {
		r.structure(within, at+suffix)
	}
}

func (r *reference) row(at, kind string, field *ast.Field) {
	text := field.Doc.Text()
	if text == "" {
		text = field.Comment.Text()
	}
	if text == "" && !strings.HasPrefix(at, "modules::NAME::") { // which are blackbox_exporter's
		r.silent = append(r.silent, at)
	}
	byDefault := r.byDefault(at)
	if at == "" {
		at, kind = "…", kind+"'s keys"
		if endpoint := r.byDefault("endpoint"); endpoint != "" {
			byDefault = "endpoint " + endpoint
		}
	}
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
	r.rows = append(r.rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", at, kind, byDefault, text))
}

// byDefault is what a key is when nobody sets it.
func (r *reference) byDefault(at string) string {
	if at == "" {
		return ""
	}
	value := r.defaults.Get(at)
	switch v := value.(type) {
	case nil, map[string]any, []any:
		return ""
	case string:
		if v == "" {
			return ""
		}
	}
	if host, err := os.Hostname(); err == nil && value == host {
		return "the host's name"
	}
	return fmt.Sprintf("`%v`", value)
}

// kind is a type in words, the struct of ours that it consists of, if there is one, and how the keys of that one are reached.
func (r *reference) kind(of ast.Expr) (text, within, suffix string) {
	switch of := of.(type) {
	case *ast.StarExpr:
		return r.kind(of.X)
	case *ast.MapType:
		text, within, suffix = r.kind(of.Value)
		return "map of " + text, within, "::NAME" + suffix
	case *ast.ArrayType:
		text, within, suffix = r.kind(of.Elt)
		return "list of " + text, within, "[]" + suffix
	case *ast.SelectorExpr:
		return selected(of), "", ""
	case *ast.IndexExpr: // configoptional.Optional[T]
		return r.kind(of.Index)
	case *ast.Ident:
		if _, ok := r.types[of.Name].(*ast.StructType); ok {
			return "map", of.Name, ""
		}
		return word(of.Name), "", ""
	default:
		return "any", "", ""
	}
}

func word(name string) string {
	known := map[string]string{"string": "text", "int": "number", "uint": "number", "int64": "number", "float64": "number", "bool": "true or false", "any": "text or map"}
	if text, ok := known[name]; ok {
		return text
	}
	return strings.ToLower(name)
}

func selected(of *ast.SelectorExpr) string {
	from := fmt.Sprint(of.X)
	switch {
	case from == "time":
		return "duration"
	case from == "configopaque":
		return "secret"
	case from == "component":
		return "name of a component"
	case strings.HasPrefix(from, "config") || from == "exporterhelper":
		return fmt.Sprintf("the Collector's [%s](https://pkg.go.dev/go.opentelemetry.io/collector/%s#%s)", from, collectorPath(from), of.Sel.Name)
	default:
		return strings.ToLower(of.Sel.Name)
	}
}

func collectorPath(from string) string {
	if from == "exporterhelper" {
		return "exporter/exporterhelper"
	}
	return "config/" + from
}
