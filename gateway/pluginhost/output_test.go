package pluginhost

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"
)

func TestParseLine(t *testing.T) {
	f := func(line string, level zapcore.Level, message string) {
		t.Helper()
		gotLevel, gotMessage, _ := parseLine(line)
		require.Equal(t, level, gotLevel)
		require.Equal(t, message, gotMessage)
	}
	// go-hclog
	f(`{"@level":"debug","@message":"x","@timestamp":"now"}`, zapcore.DebugLevel, "x")
	f(`{"@level":"error","@message":"x"}`, zapcore.ErrorLevel, "x")
	// a level in brackets
	f("[WARN] careful", zapcore.WarnLevel, "careful")
	// brackets of another meaning
	f("[main] hello", zapcore.InfoLevel, "[main] hello")
	// anything else
	f("hello", zapcore.InfoLevel, "hello")
	f(`{"level":"error"}`, zapcore.InfoLevel, `{"level":"error"}`)
	f(`{broken`, zapcore.InfoLevel, `{broken`)
}

func TestLines(t *testing.T) {
	f := func(want []string, writes ...string) {
		t.Helper()
		var got []string
		stream := &lines{emit: func(line string) { got = append(got, line) }}
		for _, text := range writes {
			n, err := stream.Write([]byte(text))
			require.NoError(t, err)
			require.Equal(t, len(text), n)
		}
		stream.flush()
		require.Equal(t, want, got)
	}
	// one write, several lines
	f([]string{"a", "b"}, "a\n\n  b\r\n")
	// one line, several writes
	f([]string{"abc"}, "a", "b", "c\n")
	// no newline at the end
	f([]string{"a"}, "a")
	// cut, and the next is whole
	f([]string{strings.Repeat("x", maxLine), "y"}, strings.Repeat("x", maxLine), strings.Repeat("x", maxLine)+"\ny\n")
}
