package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap/zapcore"
)

// explainStart says in one sentence why the collector did not start and, where that is known, what to do about it.
func explainStart(err error, effective *confmap.Conf) error {
	if err == nil {
		return errors.New("stopped before it was ready")
	}
	sentence := strings.Join(strings.Fields(err.Error()), " ")
	var taken *net.OpError
	var file *fs.PathError
	switch {
	case strings.Contains(sentence, "set another"): // the component says it itself
	case errors.Is(err, syscall.EADDRINUSE) && errors.As(err, &taken):
		return fmt.Errorf("%s: end what listens there, or set another %s", sentence, keyOf(effective, taken.Addr))
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &file):
		return fmt.Errorf("%s: give this user the right to write %s, or put the data elsewhere by LOCKKEEPER_DATA", sentence, file.Path)
	}
	return errors.New(sentence)
}

// keyOf finds the key that sets a port.
func keyOf(conf *confmap.Conf, address net.Addr) string {
	if tcp, ok := address.(*net.TCPAddr); ok {
		if keys := findPort(conf.ToStringMap(), strconv.Itoa(tcp.Port)); keys != nil {
			return strings.Join(keys, confmap.KeyDelimiter)
		}
	}
	return "port"
}

func findPort(tree any, port string) (keys []string) {
	switch tree := tree.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			value := fmt.Sprint(tree[key])
			if key == "endpoint" && strings.HasSuffix(value, ":"+port) || key == "port" && value == port {
				return []string{key}
			}
			if below := findPort(tree[key], port); below != nil {
				return append([]string{key}, below...)
			}
		}
	case []any:
		for i := range tree {
			if below := findPort(tree[i], port); below != nil {
				return append([]string{strconv.Itoa(i)}, below...)
			}
		}
	}
	return nil
}

// quiet drops what the Collector logs of a failed start: the command's own error says the same.
type quiet struct{ zapcore.Core }

func (q quiet) With(fields []zapcore.Field) zapcore.Core { return quiet{q.Core.With(fields)} }

func (q quiet) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	switch entry.Message {
	case "Failed to start extension", "Failed to start component", "error found during service initialization":
		return checked
	}
	return q.Core.Check(entry, checked)
}
