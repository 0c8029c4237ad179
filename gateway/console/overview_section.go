package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// sectionPatience is how long an overview waits for a section, at most.
const sectionPatience = time.Second

// section is a part of an overview: the answer of one of the console's own paths.
type section struct {
	name, path string
	of         string // what has to be configured for it
	lines      bool   // the answer is a JSON value a line, and the section a list of them
	mux        *http.ServeMux
	report     func(section string, panicked any)
	busy       atomic.Bool // it is being asked: one that hangs is not asked again, nor waited for
}

// told is what became of a section.
type told struct {
	body    json.RawMessage
	missing string // why there is no body; empty: there is
}

// ask has the section answer. The channel gets one value, and late, if the section hangs.
func (s *section) ask(ctx context.Context) <-chan told {
	answer := make(chan told, 1)
	if !s.busy.CompareAndSwap(false, true) {
		answer <- told{missing: "still no answer to what it was asked before"}
		return answer
	}
	go func() {
		defer s.busy.Store(false)
		answer <- s.answer(ctx)
	}()
	return answer
}

func (s *section) answer(ctx context.Context) (a told) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.path, http.NoBody)
	if err != nil {
		return told{missing: err.Error()}
	}
	handler, pattern := s.mux.Handler(request)
	if pattern == "/" {
		return told{missing: s.of + " is not configured"}
	}
	defer func() {
		if panicked := recover(); panicked != nil { // as net/http does: one handler's bug is not everybody's
			s.report(s.name, panicked)
			a = told{missing: "it failed; the log says why"}
		}
	}()
	w := kept{header: http.Header{}}
	handler.ServeHTTP(&w, request)
	body := bytes.TrimSpace(w.body.Bytes())
	switch {
	case w.code != 0 && w.code != http.StatusOK:
		return told{missing: fmt.Sprintf("HTTP %d: %s", w.code, reasonOf(body))}
	case s.lines:
		body = bytes.Join([][]byte{[]byte("["), bytes.ReplaceAll(body, []byte("\n"), []byte(",")), []byte("]")}, nil)
	}
	if !json.Valid(body) {
		return told{missing: "its answer is not JSON"}
	}
	return told{body: body}
}

// reasonOf is what a refusal says.
func reasonOf(body []byte) string {
	const most = 500
	var known struct{ Error string }
	text := string(body)
	if json.Unmarshal(body, &known) == nil && known.Error != "" {
		text = known.Error
	}
	if len(text) > most {
		for text = text[:most]; !utf8.ValidString(text) && len(text) > most-utf8.UTFMax; text = text[:len(text)-1] {
		}
		text += "…"
	}
	return strings.ToValidUTF8(text, "�")
}

// kept is an answer that nobody gets.
type kept struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header         { return k.header }
func (k *kept) Write(b []byte) (int, error) { return k.body.Write(b) }

func (k *kept) WriteHeader(code int) {
	if k.code == 0 {
		k.code = code
	}
}
