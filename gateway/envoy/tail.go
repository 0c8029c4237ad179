package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// tailBuffer is how many entries wait for a client that reads slowly; what is beyond is dropped.
const tailBuffer = 1024

// tailFilter says which entries a tail wants. Zero fields let all pass.
type tailFilter struct {
	app, idc, node string // app: of either end
	flags          mesh.Flags
	errors         bool
}

// tail is one client that follows the entries. As a watcher it only copies what passes its filter.
type tail struct {
	tailFilter
	gateway string
	entries chan *tailed
	dropped atomic.Int64 // not told to the client yet
	total   *atomic.Int64
}

// tailed is a copy of an entry that a tail wants.
type tailed struct {
	raw           []byte
	tcp           bool
	node, logName string
	labels        []mesh.Label
}

func (t *tail) want(failed bool) bool { return failed || !t.errors }

func (t *tail) see(o *mesh.Observed) {
	if !t.passes(o) {
		return
	}
	if len(t.entries) == cap(t.entries) && t.app == "" { // copy nothing in vain
		t.drop()
		return
	}
	labels := o.Labels()
	if !t.isApp(labels) {
		return
	}
	select {
	case t.entries <- &tailed{raw: bytes.Clone(o.Raw), tcp: o.TCP, node: o.Node.ID, logName: o.Node.LogName, labels: labels}:
	default:
		t.drop()
	}
}

// passes tells what can be told without the labels.
func (f *tailFilter) passes(o *mesh.Observed) bool {
	return o.Flags&f.flags == f.flags && (f.idc == "" || f.idc == o.Node.IDC) && (f.node == "" || f.node == o.Node.ID)
}

func (f *tailFilter) isApp(labels []mesh.Label) bool {
	return f.app == "" || slices.ContainsFunc(labels, func(l mesh.Label) bool {
		return l.Value == f.app && (l.Name == "source_app" || l.Name == "destination_app")
	})
}

func (t *tail) drop() {
	t.dropped.Add(1)
	t.total.Add(1)
}

// tailEntries serves GET /api/v1/tail: one JSON object a line for each final entry from now on, until the client goes or limit
// is reached. A line {"dropped":n} says that the client was too slow for n entries.
func (r *envoyReceiver) tailEntries(w http.ResponseWriter, request *http.Request) {
	t, limit, err := parseTail(request.URL.Query())
	if err != nil {
		refuseRequest(w, http.StatusBadRequest, err)
		return
	}
	if err := r.tails.enter(); err != nil {
		refuseRequest(w, http.StatusServiceUnavailable, err)
		return
	}
	defer r.tails.leave()
	t.gateway, t.total = r.config.Gateway, &r.tails.dropped
	r.watchers.add(t)
	defer r.watchers.remove(t)
	out := newAnswer(w, "application/x-ndjson")
	if err := out.flush(); err != nil { // the client learns that it follows now
		return
	}
	_ = t.run(out, limit, request.Context().Done(), r.tails.done) // fails when the client is gone
}

func (t *tail) run(out *answer, limit int, gone, done <-chan struct{}) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	tellDropped := func() error {
		if n := t.dropped.Swap(0); n > 0 {
			return lines.Encode(map[string]int64{"dropped": n})
		}
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for sent := 0; limit == 0 || sent < limit; {
		var err error
		select {
		case <-gone:
			return nil
		case <-done:
			return tellDropped()
		case e := <-t.entries:
			sent++
			err = lines.Encode(e.line(t.gateway))
		case <-tick.C:
			err = tellDropped()
		}
		if err == nil && len(t.entries) == 0 {
			err = out.flush()
		}
		if err != nil {
			return err
		}
	}
	return tellDropped()
}

// parseTail reads the filter; an unknown parameter is a mistake.
func parseTail(query url.Values) (t *tail, limit int, err error) {
	t = &tail{entries: make(chan *tailed, tailBuffer)}
	for name := range query {
		value := query.Get(name)
		switch name {
		case "app":
			t.app = value
		case "idc":
			t.idc = value
		case "node":
			t.node = value
		case "flag":
			t.flags, err = parseFlags(value)
		case "errors":
			t.errors, err = strconv.ParseBool(value)
		case "limit":
			limit, err = strconv.Atoi(value)
			if err == nil && limit < 0 {
				err = fmt.Errorf("must not be negative")
			}
		default:
			err = fmt.Errorf("unknown: use app, flag, idc, node, errors, limit")
		}
		if err != nil {
			return nil, 0, fmt.Errorf("parameter %q: %w", name, err)
		}
	}
	return t, limit, nil
}

// parseFlags reads Envoy's short names, joined by commas, of flags that must all be set.
func parseFlags(text string) (mesh.Flags, error) {
	known := map[string]mesh.Flags{}
	for bit := range 64 {
		flag := mesh.Flags(1) << bit
		known[flag.String()] = flag
	}
	delete(known, "") // of bits that mean nothing
	var flags mesh.Flags
	for name := range strings.SplitSeq(text, ",") {
		flag, ok := known[strings.ToUpper(name)]
		if !ok {
			return 0, fmt.Errorf("%q is no response flag of Envoy's, such as UF", name)
		}
		flags |= flag
	}
	return flags, nil
}
