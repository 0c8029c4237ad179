package victoria

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/logger"
)

// Info prints a line for the gateway's log.
func Info(format string, args ...any) { fmt.Fprintf(os.Stderr, "[INFO] "+format+"\n", args...) }

// Warn prints a line for the gateway's log.
func Warn(format string, args ...any) { fmt.Fprintf(os.Stderr, "[WARN] "+format+"\n", args...) }

// LogAs has the database of that name print its log lines in the form that the gateway reads.
func LogAs(name string) {
	logger.InitNoLogFlags()
	logger.SetOutputForTests(lines{name, os.Stderr})
}

// lines turns the database's log lines, "level\tlocation\tmessage", into the form the gateway reads.
// It counts on a process that ends when it panics: it does so here, where nothing recovers.
type lines struct {
	name string
	to   io.Writer
}

func (l lines) Write(line []byte) (int, error) {
	level, text, _ := strings.Cut(string(line), "\t")
	location, message, _ := strings.Cut(text, "\t")
	mark := "ERROR"
	switch level {
	case "info", "warn":
		mark = strings.ToUpper(level)
	}
	fmt.Fprintf(l.to, "[%s] %s: %s (%s)\n", mark, l.name, strings.TrimSpace(message), location)
	if level == "panic" {
		fmt.Fprintf(l.to, "panic: %s\n%s", message, debug.Stack())
		os.Exit(1)
	}
	return len(line), nil
}
