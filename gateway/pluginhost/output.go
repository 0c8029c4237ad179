package pluginhost

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	maxLine = 16 << 10 // where a line of a plugin's output is cut

	// What a plugin prints beyond this is counted and dropped.
	linesPerSecond = 100
	linesAtOnce    = 1000

	// What a plugin prints beyond this it waits with, so that reading it costs the gateway next to nothing.
	bytesPerSecond = 1 << 20
	bytesAtOnce    = 1 << 20
)

// journal takes what a plugin prints, over its restarts, into the gateway's log and a ring.
type journal struct {
	plugin  string
	log     *zap.Logger
	metrics *metrics
	secrets *secrets
	ring    ring

	mu      sync.Mutex
	lines   flow
	bytes   flow
	dropped int64 // lines
	told    int64 // of them
}

func newJournal(plugin string, log *zap.Logger, metrics *metrics, secrets *secrets) *journal {
	return &journal{
		plugin: plugin, log: log, metrics: metrics, secrets: secrets,
		lines: flow{rate: linesPerSecond, burst: linesAtOnce}, bytes: flow{rate: bytesPerSecond, burst: bytesAtOnce},
	}
}

// admit tells whether one more line is logged. An urgent one always is.
func (j *journal) admit(urgent bool, now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if urgent || j.lines.admit(1, now) {
		return true
	}
	j.dropped++
	return false
}

// pace waits until n more bytes may be read, and tells the time.
func (j *journal) pace(n int) time.Time {
	now := time.Now()
	j.mu.Lock()
	wait := j.bytes.delay(float64(n), now)
	j.mu.Unlock()
	if wait > 0 {
		time.Sleep(wait)
	}
	return now.Add(wait)
}

func (j *journal) add(l line) {
	j.ring.add(l)
	entry := j.log.Check(l.Level, l.Message)
	if entry == nil {
		return
	}
	fields := make([]zap.Field, 0, len(l.Fields))
	for _, key := range slices.Sorted(maps.Keys(l.Fields)) {
		fields = append(fields, zap.Any(key, l.Fields[key]))
	}
	entry.Write(fields...)
}

// tell counts the lines that were dropped since it was last called, and says so in the journal.
func (j *journal) tell() {
	j.mu.Lock()
	more := j.dropped - j.told
	j.told = j.dropped
	j.mu.Unlock()
	if more == 0 {
		return
	}
	j.metrics.linesDropped(j.plugin, more)
	message := strconv.FormatInt(more, 10) + " lines dropped: the plugin prints more than " + strconv.Itoa(linesPerSecond) + " a second"
	j.add(line{Time: time.Now(), Level: zapcore.WarnLevel, Message: message, size: len(message)})
}

// lost is how many lines were dropped.
func (j *journal) lost() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.dropped
}

// output takes what one run of a plugin prints, line by line. It keeps the line that most likely says why the plugin ended.
type output struct {
	journal *journal

	crashed atomic.Bool

	mu   sync.Mutex
	last string
}

// stream is an io.Writer for one of a plugin's streams.
func (o *output) stream() *lines {
	return &lines{emit: o.line, pace: o.journal.pace}
}

// lastWords is the line of a panic, else the last line without a level or with a warning; empty when there was none.
func (o *output) lastWords() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

func (o *output) line(text []byte, cut bool, now time.Time) {
	crash := bytes.HasPrefix(text, []byte("panic: ")) || bytes.HasPrefix(text, []byte("fatal error: "))
	if crash {
		crash = o.crashed.CompareAndSwap(false, true)
	}
	crashed := o.crashed.Load()
	if !o.journal.admit(crash, now) {
		return
	}
	l, plain := o.journal.secrets.parseLine(string(text), cut)
	l.Time = now
	o.mu.Lock()
	if crash || (!o.crashed.Load() && (plain || l.Level >= zapcore.WarnLevel)) {
		o.last = l.Message
	}
	o.mu.Unlock()
	if crashed {
		l.Level = max(l.Level, zapcore.ErrorLevel)
	}
	o.journal.add(l)
}

// parseLine reads a line of go-hclog's JSON, or one that starts with a level such as [WARN]; any other line is
// information as it stands, which is what plain says.
func (s *secrets) parseLine(text string, cut bool) (l line, plain bool) {
	l = line{Level: zapcore.InfoLevel, size: len(text)}
	clean := s.clean
	if cut {
		clean = s.cleanCut
	}
	message := func(text string) string { return strings.ReplaceAll(clean(text), "\n", `\n`) }
	if word, rest, ok := strings.Cut(text, "] "); ok && strings.HasPrefix(word, "[") {
		if level, ok := levelOf(strings.ToLower(word[1:])); ok {
			l.Level, l.Message = level, message(rest)
			return l, false
		}
	}
	var entry map[string]any
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &entry) != nil || entry["@message"] == nil {
		l.Message = message(text)
		return l, true
	}
	name, _ := entry["@level"].(string)
	l.Level, _ = levelOf(name)
	told, _ := entry["@message"].(string)
	l.Message = message(told)
	maps.DeleteFunc(entry, func(key string, _ any) bool { return strings.HasPrefix(key, "@") })
	if len(entry) > 0 {
		l.Fields, _ = s.cleanTree(entry).(map[string]any)
	}
	return l, false
}

// cleanTree is a JSON tree without secrets.
func (s *secrets) cleanTree(tree any) any {
	switch v := tree.(type) {
	case string:
		return s.clean(v)
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if clean := s.clean(text); clean != text {
			return clean
		}
		return v
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, child := range v {
			object[s.clean(key)] = s.cleanTree(child)
		}
		return object
	}
	return walk(tree, s.cleanTree)
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
	emit    func(text []byte, cut bool, now time.Time)
	pace    func(bytes int) (now time.Time)
	now     time.Time
	pending []byte
	cut     bool
}

// Write never fails.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	l.now = l.pace(n)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		chunk := p
		if end >= 0 {
			chunk = p[:end]
		}
		room := maxLine - len(l.pending)
		l.cut = l.cut || len(chunk) > room
		l.pending = append(l.pending, chunk[:min(len(chunk), room)]...)
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
	if text := bytes.TrimSpace(l.pending); len(text) > 0 {
		l.emit(text, l.cut, l.now)
	}
	l.pending, l.cut = l.pending[:0], false
}
