package pluginhost

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap/zapcore"
)

const (
	logLines   = 100              // of the past, unless the client asks for another number
	maxReaders = 8                // clients that may follow at once
	readerTime = 10 * time.Second // for a client to read what is written to it
)

// readers are the HTTP clients that follow what plugins print.
type readers struct {
	ended metric.Int64Counter
	open  chan struct{} // holds one for each
	done  chan struct{} // closed by close
	close func()
}

func newReaders(provider metric.MeterProvider) (*readers, error) {
	ended, err := provider.Meter("github.com/lockkeeper/lockkeeper/gateway/pluginhost").Int64Counter("lockkeeper_plugin_log_readers_ended_total",
		metric.WithDescription("Clients that could not follow what a plugin prints, or no longer."))
	if err != nil {
		return nil, err
	}
	r := &readers{ended: ended, open: make(chan struct{}, maxReaders), done: make(chan struct{})}
	r.close = sync.OnceFunc(func() { close(r.done) })
	return r, nil
}

// end counts a client that gets a plugin's lines no more, or never got any.
func (r *readers) end(plugin, reason string) {
	r.ended.Add(context.Background(), 1, metric.WithAttributes(attribute.String("plugin", plugin), attribute.String("reason", reason)))
}

// logs serves GET /api/v1/plugins/{name}/logs: the last lines that a plugin printed, one JSON object a line, and with
// follow=true the new ones until the client goes.
func (h *host) logs(w http.ResponseWriter, r *http.Request) {
	p := h.asked(w, r)
	if p == nil {
		return
	}
	count, follow, err := parseLogs(r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if !follow {
		w.Header().Set("Content-Type", "application/x-ndjson")
		_ = writeLines(w, p.journal.ring.tail(count)) // fails when the client is gone
		return
	}
	select {
	case h.readers.open <- struct{}{}:
		defer func() { <-h.readers.open }()
	default:
		h.readers.end(p.name, "too_many")
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("%d clients follow already: end one of them", maxReaders))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	last, live, end := p.journal.ring.subscribe(count)
	defer end()
	h.readers.follow(r.Context(), w, p.name, last, live)
}

// follow writes lines and what comes after them, until the client goes or falls behind, or the gateway stops.
func (r *readers) follow(ctx context.Context, w http.ResponseWriter, plugin string, lines []line, live <-chan line) {
	control := http.NewResponseController(w)
	// The server's write timeout is for answers that end by themselves. HTTP/2 ends an answer whose time is over even
	// while nothing is written, hence the ticker.
	tick := time.NewTicker(readerTime / 2)
	defer tick.Stop()
	for {
		_ = control.SetWriteDeadline(time.Now().Add(readerTime)) // a server that cannot has its own
		if writeLines(w, lines) != nil || control.Flush() != nil {
			return
		}
		lines = lines[:0]
		select {
		case <-ctx.Done():
			return
		case <-r.done:
			return
		case <-tick.C:
		case l, open := <-live:
			for ; open && len(live) > 0; l, open = <-live {
				lines = append(lines, l)
			}
			if !open {
				r.end(plugin, "behind")
				l = line{Time: time.Now(), Level: zapcore.WarnLevel, Message: fmt.Sprintf("this reader is %d lines behind: following ends here", ringLines)}
				_ = writeLines(w, append(lines, l))
				return
			}
			lines = append(lines, l)
		}
	}
}

func writeLines(w http.ResponseWriter, lines []line) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for _, l := range lines {
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

// parseLogs reads the parameters; an unknown one is a mistake.
func parseLogs(query url.Values) (lines int, follow bool, err error) {
	lines = logLines
	for name := range query {
		value := query.Get(name)
		switch name {
		case "lines":
			if lines, err = strconv.Atoi(value); err != nil || lines < 0 || lines > ringLines {
				return 0, false, fmt.Errorf("lines: %q is not a number from 0 to %d", value, ringLines)
			}
		case "follow":
			if follow, err = strconv.ParseBool(value); err != nil {
				return 0, false, fmt.Errorf("follow: %q is neither true nor false", value)
			}
		default:
			return 0, false, fmt.Errorf("%s: unknown parameter: there are lines and follow", name)
		}
	}
	return lines, follow, nil
}
