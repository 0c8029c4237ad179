package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

func info(format string, args ...any) { fmt.Fprintf(os.Stderr, "[INFO] "+format+"\n", args...) }
func warn(format string, args ...any) { fmt.Fprintf(os.Stderr, "[WARN] "+format+"\n", args...) }

// newLog is the manager's, in the form that the gateway reads.
func newLog(to io.Writer) *slog.Logger {
	return slog.New(quiet{slog.NewJSONHandler(to, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: asHclog})})
}

// quiet leaves out what the plugin tells as an alert, once.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	switch r.Message {
	case "Evaluating rule failed", "Rule sample appending failed":
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// asHclog names the attributes as the gateway reads them.
func asHclog(groups []string, a slog.Attr) slog.Attr {
	switch {
	case len(groups) > 0:
	case a.Key == slog.LevelKey:
		return slog.String("@level", strings.ToLower(a.Value.String()))
	case a.Key == slog.MessageKey:
		a.Key = "@message"
	case a.Key == slog.TimeKey:
		a.Key = "@timestamp"
	}
	return a
}
