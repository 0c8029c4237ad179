package pluginhost

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestParseLine(t *testing.T) {
	f := func(text string, level zapcore.Level, message string) {
		t.Helper()
		got, _ := (*secrets)(nil).parseLine(text, false)
		require.Equal(t, level, got.Level)
		require.Equal(t, message, got.Message)
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
	// terminal escapes, NUL, what is no UTF-8, what turns the direction of writing
	f("\x1b[31mred\x00", zapcore.InfoLevel, `\x1b[31mred\x00`)
	f("a\xff\xfeb\u202ec", zapcore.InfoLevel, `a\xff\xfeb\u202ec`)
	// a line that wants to be two
	f(`{"@level":"info","@message":"a\n2026 ERROR b"}`, zapcore.InfoLevel, `a\n2026 ERROR b`)
	// what people read stays as it is
	f("Füße\t✓ 日本", zapcore.InfoLevel, "Füße\t✓ 日本")
}

func TestLines(t *testing.T) {
	f := func(want []string, writes ...string) {
		t.Helper()
		var got []string
		emit := func(text []byte, cut bool, _ time.Time) {
			require.Equal(t, len(text) == maxLine, cut)
			got = append(got, string(text))
		}
		stream := &lines{emit: emit, pace: func(int) time.Time { return time.Now() }}
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

func newTestJournal(t *testing.T, hidden *secrets) (*journal, *observer.ObservedLogs) {
	t.Helper()
	m, err := newMetrics(noop.NewMeterProvider())
	require.NoError(t, err)
	core, logs := observer.New(zap.DebugLevel)
	return newJournal("demo", zap.New(core), m, hidden), logs
}

// Whatever a plugin prints, a line is text that a terminal can show, and not too long.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("hello\n[WARN] careful\nhunter2\n"))
	f.Add([]byte(`{"@level":"info","@message":"x\n","a":{"b":["\u001b",1e9,null,"hunter2"]}}`))
	f.Add([]byte("\x00\xff\x1b[2J\r\npanic: x"))
	hidden := newSecrets(Settings{"token": "hunter2"})
	f.Fuzz(func(t *testing.T, printed []byte) {
		j, _ := newTestJournal(t, hidden)
		stream := (&output{journal: j}).stream()
		n, err := stream.Write(printed)
		require.NoError(t, err)
		require.Equal(t, len(printed), n)
		stream.flush()
		for _, l := range j.ring.tail(ringLines) {
			require.LessOrEqual(t, len(l.Message), 6*maxLine)
			require.False(t, strings.ContainsFunc(l.Message, isControl) || strings.Contains(l.Message, "\n"), "%q", l.Message)
			text, err := json.Marshal(l)
			require.NoError(t, err)
			require.NotContains(t, string(text), "hunter2")
		}
	})
}

func TestTooManyLinesAreDroppedAndCounted(t *testing.T) {
	j, logs := newTestJournal(t, nil)
	out := &output{journal: j}
	stream := out.stream()
	for range 10 * linesAtOnce {
		_, _ = stream.Write([]byte("again\n"))
	}
	_, _ = stream.Write([]byte("panic: at the end\n"))
	j.tell()
	j.tell()
	kept := logs.FilterMessage("again").Len()
	t.Logf("kept %d lines", kept)
	require.GreaterOrEqual(t, kept, linesAtOnce)
	require.EqualValues(t, 10*linesAtOnce-kept, j.lost())
	require.Equal(t, "panic: at the end", out.lastWords(), "why it ended is never dropped")
	require.Equal(t, 1, logs.FilterMessageSnippet("lines dropped: the plugin prints more than 100 a second").Len())
	last := j.ring.tail(2)
	require.Equal(t, "panic: at the end", last[0].Message)
	require.Equal(t, zap.WarnLevel, last[1].Level)
}

func TestFlow(t *testing.T) {
	now := time.Now()
	f := flow{rate: 10, burst: 20}
	for range 20 {
		require.True(t, f.admit(1, now))
	}
	require.False(t, f.admit(1, now))
	require.True(t, f.admit(1, now.Add(100*time.Millisecond)))
	require.False(t, f.admit(1, now.Add(100*time.Millisecond)))
	// a pause gives no more than the burst
	now = now.Add(time.Hour)
	require.Zero(t, f.delay(20, now))
	require.Equal(t, time.Second, f.delay(10, now))
	require.Zero(t, f.delay(0, now.Add(time.Second)))
}

// What the gateway pays for a plugin that prints as fast as it can is this, times what bytesPerSecond lets through.
func BenchmarkFlood(b *testing.B) {
	m, err := newMetrics(noop.NewMeterProvider())
	require.NoError(b, err)
	j := newJournal("demo", zap.NewNop(), m, newSecrets(Settings{"token": "hunter2"}))
	stream := (&output{journal: j}).stream()
	stream.pace = func(int) time.Time { return time.Now() }
	chunk := bytes.Repeat([]byte("x\n"), copyBytes/2)
	b.ReportAllocs()
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		_, _ = stream.Write(chunk)
	}
}
