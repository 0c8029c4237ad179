package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The boards hold what Grafana's published types name, and nothing else.
func TestBoardsFollowGrafanasTypes(t *testing.T) {
	compiler := needs(t, "grafana", "../.cache/grafana/node_modules/typescript/bin/tsc", "make grafana")
	node, err := exec.LookPath("node")
	if err != nil {
		lacks(t, "grafana", "needs node: apt-get install nodejs")
	}
	directory := t.TempDir()
	var text strings.Builder
	text.WriteString("import type { Board } from './board.js'\n")
	for i, b := range readBoards(t) {
		fmt.Fprintf(&text, "// %s\nexport const board%d: Board = %s\n", b.file, i, b.text)
	}
	text.WriteString("// @ts-expect-error: it can fail\nexport const wrong: Board = { ...board0, panels: [{ ...board0.panels[0]!, colour: 'red' }] }\n")
	write := func(file, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(directory, file), []byte(text), 0o600))
	}
	write("boards.ts", text.String())
	write("board.ts", readFile(t, "testdata/boards/schema/board.ts"))
	write("tsconfig.json", `{"files": ["boards.ts"], "compilerOptions": {
  "strict": true, "noEmit": true, "skipLibCheck": true, "types": [], "target": "es2022", "module": "nodenext", "moduleResolution": "nodenext"}}`)
	require.NoError(t, os.Symlink(filepath.Dir(filepath.Dir(filepath.Dir(compiler))), filepath.Join(directory, "node_modules")))
	compile := exec.CommandContext(t.Context(), node, compiler, "--project", directory)
	out, err := compile.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
