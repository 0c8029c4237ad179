package pluginhost

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// maxLine is where a line of a plugin's output is cut.
const maxLine = 16 << 10

// output takes what one run of a plugin prints, line by line, into the gateway's log. It keeps the line that
// most likely says why the plugin ended.
type output struct {
	log *zap.Logger

	mu      sync.Mutex
	last    string
	crashed bool
}

// stream is an io.Writer for one of a plugin's streams.
func (o *output) stream() *lines {
	return &lines{emit: o.line}
}

// lastWords is the line of a panic, else the last line without a level or with a warning; empty when there was none.
func (o *output) lastWords() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

func (o *output) line(text string) {
	level, message, fields := parseLine(text)
	o.mu.Lock()
	if !o.crashed && (message == text || level >= zapcore.WarnLevel) {
		o.last = message
		o.crashed = strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ")
	}
	if o.crashed {
		level = max(level, zapcore.ErrorLevel)
	}
	o.mu.Unlock()
	if entry := o.log.Check(level, message); entry != nil {
		entry.Write(fields...)
	}
}

// parseLine reads a line of go-hclog's JSON, or one that starts with a level such as [WARN]; any other line is
// information as it stands.
func parseLine(text string) (zapcore.Level, string, []zap.Field) {
	if word, message, ok := strings.Cut(text, "] "); ok && strings.HasPrefix(word, "[") {
		if level, ok := levelOf(strings.ToLower(word[1:])); ok {
			return level, message, nil
		}
	}
	var entry map[string]any
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &entry) != nil || entry["@message"] == nil {
		return zapcore.InfoLevel, text, nil
	}
	name, _ := entry["@level"].(string)
	level, _ := levelOf(name)
	message, _ := entry["@message"].(string)
	var fields []zap.Field
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		if !strings.HasPrefix(key, "@") {
			fields = append(fields, zap.Any(key, entry[key]))
		}
	}
	return level, message, fields
}

// levelOf is the level by its name; information when it has none that we know.
func levelOf(name string) (level zapcore.Level, known bool) {
	switch name {
	case "trace", "debug":
		return zapcore.DebugLevel, true
	case "warn":
		return zapcore.WarnLevel, true
	case "error", "fatal", "panic":
		return zapcore.ErrorLevel, true
	}
	return zapcore.InfoLevel, name == "info"
}

// lines cuts a stream into lines. It is used by one goroutine.
type lines struct {
	emit    func(string)
	pending []byte
}

// Write never fails.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		chunk := p
		if end >= 0 {
			chunk = p[:end]
		}
		l.pending = append(l.pending, chunk[:min(len(chunk), maxLine-len(l.pending))]...)
		if end < 0 {
			break
		}
		p = p[end+1:]
		l.flush()
	}
	return n, nil
}

// flush emits what stands after the last newline.
func (l *lines) flush() {
	if text := strings.TrimSpace(string(l.pending)); text != "" {
		l.emit(text)
	}
	l.pending = l.pending[:0]
}
