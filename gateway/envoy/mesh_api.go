package envoy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// meshAge is how old a picture of the mesh may be that is given to whoever asks.
const meshAge = time.Second

// pictures are made when somebody asks, at most once each meshAge, for everybody.
type pictures struct {
	mu      sync.Mutex // held while one is made: whoever comes meanwhile gets that one, too
	made    time.Time
	picture *mesh.Picture
	body    []byte // of /api/v1/mesh
}

// meshAnswer is the answer of /api/v1/mesh.
type meshAnswer struct {
	At            string        `json:"at"`
	WindowSeconds float64       `json:"window_seconds"`
	Edges         []mesh.Link   `json:"edges"`
	LeftOut       int           `json:"edges_left_out,omitempty"`
	Funnels       []mesh.Funnel `json:"funnels"`
}

// now is a picture that is recent enough.
func (r *envoyReceiver) picture() (*mesh.Picture, []byte, error) {
	p := &r.pictures
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.picture != nil && now.Sub(p.made) < meshAge {
		return p.picture, p.body, nil
	}
	picture := r.aggregator.Picture()
	body, err := json.Marshal(&meshAnswer{
		At: picture.At.UTC().Format("2006-01-02T15:04:05.000Z"), WindowSeconds: mesh.EdgeWindow.Seconds(),
		Edges: orEmpty(picture.Links), LeftOut: picture.LeftOut, Funnels: orEmpty(picture.Funnels(r.steady.from(), r.telemetryNow(now))),
	})
	if err != nil {
		return nil, nil, err
	}
	p.made, p.picture, p.body = now, picture, body
	return picture, body, nil
}

// meshNow answers GET /api/v1/mesh: who calls whom, and how far the requests of each IDC get.
func (r *envoyReceiver) meshNow(w http.ResponseWriter, _ *http.Request) {
	_, body, err := r.picture()
	if err != nil {
		refuseRequest(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client is gone if this fails
}

// edgeAnswer is the answer of /api/v1/mesh/edge.
type edgeAnswer struct {
	Edge     *mesh.Link        `json:"edge"`
	Versions []mesh.Link       `json:"versions"`
	History  []mesh.LinkMinute `json:"history"`
	Failures []failure         `json:"failures"`
	Logs     string            `json:"logs"`
}

// meshEdge answers GET /api/v1/mesh/edge?id=: all that is known of one edge.
func (r *envoyReceiver) meshEdge(w http.ResponseWriter, request *http.Request) {
	picture, _, err := r.picture()
	if err != nil {
		refuseRequest(w, http.StatusInternalServerError, err)
		return
	}
	id := request.URL.Query().Get("id")
	link := picture.Find(id)
	if link == nil {
		refuseRequest(w, http.StatusNotFound, fmt.Errorf("there is no edge %q now: take an id of /api/v1/mesh; an edge without traffic is forgotten after a while", id))
		return
	}
	body, err := json.Marshal(&edgeAnswer{
		Edge: link, Versions: picture.Versions(link), History: picture.History(link), Failures: orEmpty(r.failuresOf(link)), Logs: logsOf(link),
	})
	if err != nil {
		refuseRequest(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client is gone if this fails
}

// logsOf is the LogsQL query that finds the failed requests of an edge in a log storage that has the receiver's records.
func logsOf(l *mesh.Link) string {
	terms := []string{`"error.type":*`, "request_protocol:=" + strconv.Quote(l.Protocol)}
	for _, is := range [...][2]string{
		{"source_app", l.Source.App},
		{"source_version", l.Source.Version},
		{"source_workload", l.Source.Workload},
		{"destination_app", l.Destination.App},
		{"destination_version", l.Destination.Version},
		{"destination_workload", l.Destination.Workload},
	} {
		terms = append(terms, is[0]+":="+strconv.Quote(is[1]))
	}
	return strings.Join(terms, " ")
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
