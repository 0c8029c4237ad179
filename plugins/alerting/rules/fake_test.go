package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// These tests run the plugin in this process, on a storage that does what is wrong.

// fake is a storage on which each query has one sample of the value 1 and without labels, unless it is told otherwise.
type fake struct {
	*httptest.Server
	mu        sync.Mutex
	refuses   string // queries that contain this
	hangs     string
	dead      bool // every query hangs
	warns     string
	takes     int  // the status of remote write; 0: 204
	forgets   bool // what it takes
	many      int  // series of the query "many"
	names     []string
	asked     []string // queries, and names that were looked for
	heartbeat float64
	metrics   map[string]float64 // written, by name
}

func newFake(t *testing.T) *fake {
	f := &fake{metrics: map[string]float64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/query", f.query)
	mux.HandleFunc("/api/v1/write", f.write)
	mux.HandleFunc("/api/v1/label/__name__/values", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asked = append(f.asked, r.FormValue("match[]"))
		text, _ := json.Marshal(map[string]any{"status": "success", "data": f.names})
		_, _ = w.Write(text)
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

// set changes what is wrong.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) query(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	has := func(part string) bool { return part != "" && strings.Contains(query, part) }
	f.mu.Lock()
	refuses, hangs, warns := has(f.refuses), f.dead || has(f.hangs), has(f.warns)
	value, heartbeat := "1", strings.HasPrefix(query, heartbeatMetric)
	if heartbeat {
		value = fmt.Sprintf("%.3f", f.heartbeat)
	}
	f.asked = append(f.asked, query)
	empty := heartbeat && f.heartbeat == 0 || strings.HasPrefix(query, "ALERTS{")
	f.mu.Unlock()
	switch {
	case hangs:
		<-r.Context().Done()
	case refuses:
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"status":"error","errorType":"422","error":"too many series"}`)
	case strings.HasSuffix(query, "]"):
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
	case empty:
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	case query == "many":
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"i":"first"},"value":[1,"1"]}`)
		for i := range f.many - 1 {
			fmt.Fprintf(w, `,{"metric":{"i":"%d","service":"a-service-with-a-name.namespace.svc.cluster.local"},"value":[1,"1"]}`, i)
		}
		fmt.Fprint(w, `]}}`)
	case warns:
		fmt.Fprint(w, `{"status":"success","isPartial":true,"warnings":["slow"],"data":{"resultType":"vector","result":[]}}`)
	default:
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,"%s"]}]}}`, time.Now().Unix(), value)
	}
}

func (f *fake) write(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	packed, _ := io.ReadAll(r.Body)
	text, err := snappy.Decode(nil, packed)
	var request prompb.WriteRequest
	if err == nil {
		err = request.Unmarshal(text)
	}
	if err != nil {
		f.takes = http.StatusBadRequest
	}
	if f.takes != 0 {
		http.Error(w, "disk full", f.takes)
		return
	}
	for _, series := range request.Timeseries {
		for _, l := range series.Labels {
			if l.Name == "__name__" {
				f.metrics[l.Value] = series.Samples[0].Value
			}
		}
	}
	if !f.forgets {
		f.heartbeat = max(f.heartbeat, f.metrics[heartbeatMetric])
	}
	w.WriteHeader(http.StatusNoContent)
}

// evaluated runs the rules on the fake until the test ends.
func (f *fake) evaluated(t *testing.T, text string) (*plugin, *gateway) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"files": []string{ruleFile(t, text)}, "evaluation_interval": "1s", "query_timeout": "1s"})
	if err != nil {
		t.Fatal(err)
	}
	s, set, err := decode(sdk.NewConfig("rules", "", raw))
	if err != nil {
		t.Fatal(err)
	}
	p := newPlugin("rules", s, set)
	p.pace = pace{arrival: 2 * time.Second, missingFor: 2 * time.Second, lookAgain: time.Second}
	g := &gateway{t: t}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- p.evaluate(ctx, sdk.Source{QueryURL: f.URL, RemoteWriteURL: f.URL + "/api/v1/write"}, g.send)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return p, g
}

func (f *fake) metric(t *testing.T, name string, atLeast float64) {
	t.Helper()
	until(t, fmt.Sprintf("%s is %v", name, atLeast), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.metrics[name] >= atLeast
	})
}
