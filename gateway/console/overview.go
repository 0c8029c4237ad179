package console

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// overviewAge is how old an overview may be that is given to whoever asks.
	overviewAge = time.Second
	// overviewPatience is how long somebody waits for the next one while there is one of at most overviewStale.
	overviewPatience = 25 * time.Millisecond
	overviewStale    = 5 * time.Second
	// refreshSeconds is how often the page should ask.
	refreshSeconds = 2
	// worst is how many subjects and Envoys the page is told of.
	worst = "?worst=200"
)

// overview answers with all that the page shows, in one document: what the other components answer under their own paths. It is made when somebody
// asks, at most once each overviewAge, and is serialised and compressed once for everybody.
type overview struct {
	version  string
	sections []*section
	seed     maphash.Seed

	mu     sync.Mutex
	last   *document
	failed error         // why the last one could not be made
	making chan struct{} // closed when the next one is there; nil: none is made
}

// document is an overview as it is sent.
type document struct {
	made        time.Time
	plain, gzip []byte
	tag         string // the same for contents that differ in nothing but when they were made
}

// newOverview makes one of all that is known, or, not whole, of what is worst: however large a fleet is, the page asks for it every two seconds.
func newOverview(mux *http.ServeMux, whole bool, report func(section string, panicked any)) *overview {
	few := worst
	if whole {
		few = ""
	}
	o := &overview{seed: maphash.MakeSeed(), sections: []*section{
		{name: "mesh", path: "/api/v1/mesh", of: "the receiver envoy"},
		{name: "nodes", path: "/api/v1/nodes" + few, of: "the receiver envoy"},
		{name: "failover", path: "/api/v1/failover" + few, of: "the extension failover"},
		{name: "shift", path: "/api/v1/failover/shift", of: "the extension failover"},
		{name: "dns", path: "/api/v1/dns", of: "the extension dns"},
		{name: "xds", path: "/api/v1/xds", of: "the extension xds"},
		{name: "probes", path: "/api/v1/probes", of: "the receiver probes"},
		{name: "plugins", path: "/api/v1/plugins", of: "the extension plugins"},
		{name: "alerts", path: "/alertmanager/api/v2/alerts", of: "the extension alerting"},
		{name: "silences", path: "/alertmanager/api/v2/silences", of: "the extension alerting"},
		{name: "events", path: "/api/v1/events?limit=200", of: "the extension failover", lines: true},
		{name: "cluster", path: "/api/v1/cluster", of: "the extension cluster"},
	}}
	for _, s := range o.sections {
		s.mux, s.report = mux, report
	}
	return o
}

// ServeHTTP answers GET /api/v1/overview.
func (o *overview) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, err := o.now()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	header := w.Header()
	header.Set("ETag", d.tag)
	header.Set("Cache-Control", "no-cache")
	header.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("If-None-Match"), d.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", "application/json")
	body := d.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		body = d.gzip
	}
	_, _ = w.Write(body) // the client is gone if this fails
}

// now is a document that is recent enough. While a machine is too busy to make the next one at once, or a section hangs, it is the last one.
func (o *overview) now() (*document, error) {
	o.mu.Lock()
	last, making := o.last, o.making
	age := overviewStale
	if last != nil {
		age = time.Since(last.made)
	}
	if age >= overviewAge && making == nil {
		making = make(chan struct{})
		o.making = making
		go o.remake(making)
	}
	o.mu.Unlock()
	switch {
	case age < overviewAge:
		return last, nil
	case age < overviewStale:
		patience := time.NewTimer(overviewPatience)
		defer patience.Stop()
		select {
		case <-making:
		case <-patience.C:
			return last, nil
		}
	default:
		<-making
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last, o.failed
}

// remake makes the next document.
func (o *overview) remake(made chan struct{}) {
	d, err := o.make(time.Now())
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed = err; err == nil {
		o.last = d
	}
	o.making = nil
	close(made)
}

func (o *overview) make(now time.Time) (*document, error) {
	all := struct {
		At             string                     `json:"at"`
		Version        string                     `json:"version"`
		Gateway        string                     `json:"gateway"`
		RefreshSeconds int                        `json:"refresh_seconds"`
		Sections       map[string]json.RawMessage `json:"sections"`
		Missing        map[string]string          `json:"missing"`
	}{At: now.UTC().Format("2006-01-02T15:04:05.000Z"), Version: o.version, RefreshSeconds: refreshSeconds}
	all.Sections, all.Missing = o.ask(context.Background())
	all.Gateway = gatewayName(all.Sections["cluster"])
	var hash maphash.Hash
	hash.SetSeed(o.seed)
	for _, s := range o.sections { // in order
		_, _ = hash.WriteString(all.Missing[s.name])
		_ = hash.WriteByte(0)
		_, _ = hash.Write(withoutTime(all.Sections[s.name]))
		_ = hash.WriteByte(0)
	}
	d := &document{made: now, tag: fmt.Sprintf(`W/"%016x"`, hash.Sum64())}
	var err error
	if d.plain, err = json.Marshal(&all); err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	packer, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err = packer.Write(d.plain); err == nil {
		err = packer.Close()
	}
	d.gzip = packed.Bytes()
	return d, err
}

// ask has all sections answer at the same time.
func (o *overview) ask(ctx context.Context) (sections map[string]json.RawMessage, missing map[string]string) {
	ctx, cancel := context.WithTimeout(ctx, sectionPatience)
	defer cancel()
	answers := make([]<-chan told, len(o.sections))
	for i, s := range o.sections {
		answers[i] = s.ask(ctx)
	}
	sections, missing = map[string]json.RawMessage{}, map[string]string{}
	for i, s := range o.sections {
		var a told
		select {
		case a = <-answers[i]:
		case <-ctx.Done():
			select { // both may be there
			case a = <-answers[i]:
			default:
				a.missing = fmt.Sprintf("no answer within %v", sectionPatience)
			}
		}
		if a.missing != "" {
			missing[s.name] = a.missing
		} else {
			sections[s.name] = a.body
		}
	}
	return sections, missing
}

// withoutTime is an answer but for when it was made, if it says that first.
func withoutTime(answer []byte) []byte {
	if rest, ok := bytes.CutPrefix(answer, []byte(`{"at":"`)); ok {
		_, rest, _ = bytes.Cut(rest, []byte(`"`))
		return rest
	}
	return answer
}

// gatewayName is that of the cluster's member that this gateway is, else the host's.
func gatewayName(cluster json.RawMessage) string {
	var self struct{ Name string }
	if json.Unmarshal(cluster, &self) == nil && self.Name != "" {
		return self.Name
	}
	name, _ := os.Hostname() // empty if nobody knows
	return name
}
