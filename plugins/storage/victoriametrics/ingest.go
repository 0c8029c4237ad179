package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/VictoriaMetrics/VictoriaMetrics/app/vminsert/common"
	"github.com/VictoriaMetrics/VictoriaMetrics/app/vminsert/promremotewrite"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/bytesutil"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/decimal"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/httpserver"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/prompb"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/promrelabel"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/promutil"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/protoparser/opentelemetry/pb"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/writeconcurrencylimiter"

	"github.com/lockkeeper/lockkeeper/sdk"
)

var errReadOnly = errors.New("the disk that holds data_directory is nearly full: VictoriaMetrics takes no samples until space is freed")

// insert puts one request into VictoriaMetrics, where it is only in memory when insert returns.
func insert(kind recordKind, body []byte) error {
	switch kind {
	case recordOTLP:
		return insertOTLP(body)
	case recordRemoteWrite:
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
func insertOTLP(body []byte) error {
	if err := writeconcurrencylimiter.IncConcurrency(); err != nil {
		return err
	}
	defer writeconcurrencylimiter.DecConcurrency()

	rows := &otlpRows{InsertCtx: common.GetInsertCtx()}
	defer common.PutInsertCtx(rows.InsertCtx)
	rows.Reset(0)
	options := pb.DecodeMetricsOptions{DisableScopeMetadata: true, ResourceAttributesList: scrapeAttributes()}
	if err := pb.DecodeMetricsData(body, rows, options); err != nil {
		return sdk.Permanent(fmt.Errorf("OTLP metrics: %w", err))
	}
	if rows.err != nil {
		return insertError(rows.err)
	}
	if err := rows.FlushBufs(); err != nil {
		return insertError(err)
	}
	return insertError(rows.WriteMetadata(rows.metadata))
}

// scrapeAttributes are what the Collector's Prometheus receiver adds to each scraped target; Prometheus itself
// has no such labels, and job and instance say the same.
func scrapeAttributes() map[string]struct{} {
	return map[string]struct{}{"server.address": {}, "server.port": {}, "url.scheme": {}}
}

// otlpRows takes the samples of one request as the decoder finds them.
type otlpRows struct {
	*common.InsertCtx
	name     []byte
	names    []nameOfLabel // of the sample before: the next one mostly has the same in the same order
	metadata []prompb.MetricMetadata
	err      error
}

// nameOfLabel is what an attribute's name becomes. The bytes are a copy: the decoder reuses its own.
type nameOfLabel struct {
	attribute []byte
	label     string
}

func (n *nameOfLabel) of(attribute string) string {
	if string(n.attribute) != attribute {
		n.attribute = append(n.attribute[:0], attribute...)
		n.label = labelName(bytesutil.ToUnsafeString(n.attribute))
	}
	return n.label
}

// PushSample copies what it is given.
func (r *otlpRows) PushSample(metric *pb.MetricMetadata, suffix string, labels *promutil.Labels, nanoseconds uint64, value float64, flags uint32) {
	const noRecordedValue = 1
	if flags&noRecordedValue != 0 {
		value = decimal.StaleNaN
	}
	name := metricName(metric.Name)
	if suffix != "" {
		r.name = append(append(r.name[:0], name...), suffix...)
		name = bytesutil.ToUnsafeString(r.name)
	}
	r.Labels = r.Labels[:0]
	r.AddLabel("", name)
	for i := range labels.Labels {
		if i == len(r.names) {
			r.names = append(r.names, nameOfLabel{})
		}
		r.AddLabel(r.names[i].of(labels.Labels[i].Name), labels.Labels[i].Value)
	}
	if !r.TryPrepareLabels(false) {
		return
	}
	r.Labels = lastOfEachName(r.Labels)
	if err := r.WriteDataPoint(nil, r.Labels, int64(nanoseconds/1e6), value); err != nil && r.err == nil {
		r.err = err
	}
}

// lastOfEachName leaves out, of labels sorted by name, those that another of the same name follows: an attribute
// of the sample stands for the resource's.
func lastOfEachName(labels []prompb.Label) []prompb.Label {
	kept := 0
	for i := range labels {
		if i+1 < len(labels) && labels[i].Name == labels[i+1].Name {
			continue
		}
		labels[kept] = labels[i]
		kept++
	}
	return labels[:kept]
}

// PushMetricMetadata keeps type, unit and help, whose text lives in the request.
func (r *otlpRows) PushMetricMetadata(metric *pb.MetricMetadata) {
	r.metadata = append(r.metadata, prompb.MetricMetadata{
		MetricFamilyName: metricName(metric.Name), Help: metric.Description, Unit: metric.Unit, Type: metric.Type,
	})
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
