package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/VictoriaMetrics/VictoriaMetrics/app/vminsert/common"
	"github.com/VictoriaMetrics/VictoriaMetrics/app/vminsert/promremotewrite"
	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/httpserver"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/promrelabel"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/writeconcurrencylimiter"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
	"github.com/lockkeeper/lockkeeper/sdk"
)

var errReadOnly = errors.New("the disk that holds data_directory is nearly full: VictoriaMetrics takes no samples until space is freed")

// ingest makes rows of requests.
type ingest struct {
	pool sync.Pool // of *request
}

// insert puts one request into VictoriaMetrics, where it is only in memory when insert returns. What was inserted before is
// stored once all the same, by VictoriaMetrics's deduplication.
func (i *ingest) insert(kind victoria.Kind, body []byte) error {
	switch kind {
	case victoria.OTLP:
		return i.insertOTLP(body)
	case victoria.RemoteWrite:
		request := &http.Request{URL: new(url.URL), Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
		return insertError(promremotewrite.InsertHandler(request))
	default:
		return sdk.Permanent(fmt.Errorf("unknown kind of request %d", kind))
	}
}

// insertError tells what VictoriaMetrics cannot do now from what it can never do.
func insertError(err error) error {
	var coded *httpserver.ErrorWithStatusCode
	switch {
	case err == nil:
		return nil
	case errors.As(err, &coded) && coded.StatusCode == http.StatusServiceUnavailable:
		return err
	default:
		return sdk.Permanent(err)
	}
}

// insertOTLP stores an ExportMetricsServiceRequest. Metric names stay, with what Prometheus does not allow in
// them as '_'; histograms become _bucket{le}, _sum and _count. Every attribute becomes a label, those of the
// resource too, service.name as job and service.instance.id as instance; the scope is left out.
func (i *ingest) insertOTLP(body []byte) error {
	if err := writeconcurrencylimiter.IncConcurrency(); err != nil {
		return err
	}
	defer writeconcurrencylimiter.DecConcurrency()

	r, _ := i.pool.Get().(*request)
	if r == nil {
		r = newRequest(vmstorage.VMInsertAPI.WriteRows)
	}
	defer func() { r.reset(); i.pool.Put(r) }()
	if err := r.read(body); err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	metadata := common.GetInsertCtx()
	defer common.PutInsertCtx(metadata)
	return insertError(metadata.WriteMetadata(r.metadata))
}

func labelName(name string) string {
	if plain(name) {
		return name
	}
	switch name {
	case "service.name":
		return "job"
	case "service.instance.id":
		return "instance"
	}
	return promrelabel.SanitizeLabelName(name)
}

func metricName(name string) string {
	if plain(name) {
		return name
	}
	return promrelabel.SanitizeMetricName(name)
}

// plain tells whether a name is made of letters, digits and underscores only.
func plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
