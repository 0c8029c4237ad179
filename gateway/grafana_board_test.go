package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const boardsDirectory = "../deploy/grafana"

// board is what the tests look at in a dashboard of Grafana.
type board struct {
	file                    string // its name, without the directory
	UID, Title, Description string
	SchemaVersion           int
	Tags                    []string
	Templating              struct{ List []*boardVariable }
	Annotations             struct{ List []*boardAnnotation }
	Panels                  []*boardPanel
	text                    string
}

type boardVariable struct {
	Name, Label, Type, Regex string
	Query                    json.RawMessage // a text, or an object with one
	Multi, IncludeAll        bool
	AllValue                 string
	Current                  struct{ Value any }
}

type boardPanel struct {
	ID                       int
	Type, Title, Description string
	Datasource               boardSource
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []*boardTarget
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Transformations          []struct {
		ID      string
		Options struct{ RenameByName map[string]string }
	}
}

type boardSource struct{ Type, UID string }

type boardAnnotation struct {
	Name   string
	Target boardTarget
}

// boardTarget is a query.
type boardTarget struct {
	RefID, Expr, LegendFormat, Format string
	Instant                           bool
}

// text is the query itself.
func (v *boardVariable) text() (text string) {
	if json.Unmarshal(v.Query, &text) != nil {
		var query struct{ Query string }
		_ = json.Unmarshal(v.Query, &query)
		text = query.Query
	}
	return text
}

// readBoards reads all dashboards, or those of these names.
func readBoards(t *testing.T, names ...string) (all []*board) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(boardsDirectory, "*.json"))
	require.NoError(t, err)
	if len(names) > 0 {
		files = nil
		for _, name := range names {
			files = append(files, filepath.Join(boardsDirectory, name))
		}
	}
	require.NotEmpty(t, files)
	for _, file := range files {
		all = append(all, readBoard(t, file))
	}
	return all
}

func readBoard(t *testing.T, file string) *board {
	t.Helper()
	b := board{file: filepath.Base(file), text: readFile(t, file)}
	require.NoError(t, json.Unmarshal([]byte(b.text), &b), file)
	return &b
}

// Whatever fits into a line is one, so that a panel is easy to read and a change easy to see: -update writes them so.
func TestBoardsAreCanonical(t *testing.T) {
	for _, b := range readBoards(t) {
		want := layJSON(t, json.RawMessage(b.text), 0, 0) + "\n"
		if *update {
			require.NoError(t, os.WriteFile(filepath.Join(boardsDirectory, b.file), []byte(want), 0o644))
		} else if b.text != want {
			t.Errorf("%s is laid out in another way: go test ./gateway -run TestBoardsAreCanonical -update", b.file)
		}
	}
}

const boardWidth = 160

// layJSON breaks what does not fit into a line, of which lead is taken.
func layJSON(t *testing.T, value json.RawMessage, indent, lead int) string {
	t.Helper()
	line := lineJSON(t, value)
	begin, end, keys, values := partsOfJSON(t, value)
	if indent+lead+utf8.RuneCountInString(line)+1 <= boardWidth || len(values) == 0 {
		return line
	}
	var items []string
	for i, part := range values {
		key := ""
		if keys != nil {
			key = keys[i] + ": "
		}
		items = append(items, strings.Repeat(" ", indent+2)+key+layJSON(t, part, indent+2, utf8.RuneCountInString(key)))
	}
	return begin + "\n" + strings.Join(items, ",\n") + "\n" + strings.Repeat(" ", indent) + end
}

func lineJSON(t *testing.T, value json.RawMessage) string {
	t.Helper()
	begin, end, keys, values := partsOfJSON(t, value)
	if begin == "" {
		return string(bytes.TrimSpace(value))
	}
	var items []string
	for i, part := range values {
		item := lineJSON(t, part)
		if keys != nil {
			item = keys[i] + ": " + item
		}
		items = append(items, item)
	}
	return begin + strings.Join(items, ", ") + end
}

// partsOfJSON are those of an object or an array, in their order; a scalar has none.
func partsOfJSON(t *testing.T, value json.RawMessage) (begin, end string, keys []string, values []json.RawMessage) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(value))
	token, err := decoder.Token()
	require.NoError(t, err)
	switch token {
	case json.Delim('{'):
		begin, end, keys = "{", "}", []string{}
	case json.Delim('['):
		begin, end = "[", "]"
	default:
		return "", "", nil, nil
	}
	for decoder.More() {
		var part json.RawMessage
		if keys != nil {
			key, err := decoder.Token()
			require.NoError(t, err)
			quoted, err := json.Marshal(key)
			require.NoError(t, err)
			keys = append(keys, string(quoted))
		}
		require.NoError(t, decoder.Decode(&part))
		values = append(values, part)
	}
	return begin, end, keys, values
}
