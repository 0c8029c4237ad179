package main

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage"
	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
)

// Bounds of one record. What is longer is cut and ends in "…"; attributes beyond are left out. VictoriaLogs would drop a record
// of more than 2 MiB.
const (
	maxBody       = 512 << 10
	maxValue      = 64 << 10
	maxAttributes = 512 << 10 // bytes of all
	maxFields     = 256
	maxName       = 128 // bytes
)

// Bounds of all records of a day. VictoriaLogs would drop records of a stream that has more than 2,000 names of fields together,
// and gets slow with too many streams.
const (
	maxNames       = 800
	maxStreams     = 10_000
	maxStreamValue = 256 // bytes
	maxDays        = 16  // that are remembered
)

// askNames bounds how long VictoriaLogs is asked for names.
const askNames = time.Second

// streamFields tell the streams, which VictoriaLogs finds without reading them: whose records are together, on disk too.
func streamFields() []string {
	return []string{"gateway", "idc", "service.namespace", "service.name", "service.version", "log_name"}
}

// bounds are the names and streams of the records of a day.
type bounds struct{ names, streams known }

// newBounds knows the names that the day's records have, for which VictoriaLogs is asked.
func newBounds(day string) *bounds {
	b := &bounds{names: known{limit: maxNames}, streams: known{limit: maxStreams}}
	ctx, cancel := context.WithTimeout(context.Background(), askNames)
	defer cancel()
	query, err := logstorage.ParseQuery("_time:" + day + "Z")
	if err != nil {
		victoria.Warn("names of fields: %v", err)
		return b
	}
	names, err := vlstorage.GetFieldNames(logstorage.NewQueryContext(ctx, new(logstorage.QueryStats), []logstorage.TenantID{{}}, query, false, nil), "")
	if err != nil {
		victoria.Warn("names of fields: %v", err)
	}
	for _, name := range names {
		b.names.admit(name.Value)
	}
	return b
}

// byDay are the bounds of the last days, and of older ones of which records come: each has its own, as VictoriaLogs keeps it by itself.
type byDay struct {
	begin func(day string) *bounds
	mu    sync.Mutex
	all   map[int64]*bounds // by Unix day
}

func newByDay(begin func(day string) *bounds) *byDay {
	return &byDay{begin: begin, all: map[int64]*bounds{}}
}

// at are the bounds of the day. Of more days than are remembered the oldest is asked for again when one of its records comes.
func (d *byDay) at(day int64) *bounds {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b := d.all[day]; b != nil {
		return b
	}
	if len(d.all) >= maxDays {
		delete(d.all, slices.Min(slices.Collect(maps.Keys(d.all))))
	}
	b := d.begin(dayOf(time.Unix(day*secondsOfDay, 0)))
	d.all[day] = b
	return b
}

// known is a set of so many texts at most.
type known struct {
	limit int64
	size  atomic.Int64
	texts sync.Map
}

// admit tells whether the text is or can still be one of the set.
func (k *known) admit(text string) bool {
	if _, ok := k.texts.Load(text); ok {
		return true
	}
	if k.size.Add(1) > k.limit {
		k.size.Add(-1)
		return false
	}
	if _, loaded := k.texts.LoadOrStore(strings.Clone(text), nil); loaded {
		k.size.Add(-1)
	}
	return true
}

// row is one record as VictoriaLogs stores it. It is used again for its memory.
type row struct {
	bounds *bounds
	day    int64 // of bounds
	fields []logstorage.Field
	others map[string]string // attributes that have no field of their own
	cut    bool              // something was too long or too much

	unstreamed bool // there are too many streams

	streams []string
	at      map[string]int // position in fields by name
	bytes   int            // of attributes
}

func newRow() *row {
	return &row{others: map[string]string{}, at: map[string]int{}, streams: streamFields()}
}

// write makes fields of a record. The first ones, as many as it returns, tell the stream.
func (r *row) write(resource pcommon.Map, scope pcommon.InstrumentationScope, record plog.LogRecord) (streamed int) {
	clear(r.at)
	clear(r.others)
	r.fields, r.cut, r.bytes = r.fields[:0], false, 0
	streamed = r.stream(resource)
	r.set("_msg", shorten(cmp.Or(record.Body().AsString(), record.EventName(), "-"), maxBody, &r.cut))
	r.set("severity_text", r.short(severity(record)))
	if id := record.TraceID(); !id.IsEmpty() {
		r.set("trace_id", id.String())
	}
	if id := record.SpanID(); !id.IsEmpty() {
		r.set("span_id", id.String())
	}
	r.set("event_name", r.short(record.EventName()))
	r.set("scope.name", r.short(scope.Name()))
	fixed := len(r.fields)
	for name, value := range resource.All() {
		if !slices.Contains(r.streams, name) || r.at[name] >= streamed {
			r.attribute(name, value, fixed)
		}
	}
	for name, value := range record.Attributes().All() {
		r.attribute(name, value, fixed)
	}
	if len(r.others) > 0 {
		text, _ := json.Marshal(r.others) // texts only
		r.set("other_attributes", shorten(string(text), maxAttributes, &r.cut))
	}
	return streamed
}

// severity is "" if the record has none.
func severity(record plog.LogRecord) string {
	if text := record.SeverityText(); text != "" || record.SeverityNumber() == plog.SeverityNumberUnspecified {
		return text
	}
	return strings.ToUpper(record.SeverityNumber().String())
}

// stream writes the fields that tell the stream.
func (r *row) stream(resource pcommon.Map) int {
	var key strings.Builder
	long := false
	for _, name := range r.streams {
		if value, ok := resource.Get(name); ok {
			text := valid(value.AsString())
			long = long || len(text) > maxStreamValue
			r.set(name, text)
			key.WriteString(text)
		}
		key.WriteByte(0)
	}
	r.unstreamed = long || !r.bounds.streams.admit(key.String())
	if !r.unstreamed {
		return len(r.fields)
	}
	r.fields = r.fields[:0]
	clear(r.at)
	return 0
}

// set writes a field; the value of one that is there already is replaced.
func (r *row) set(name, value string) {
	if value == "" {
		return
	}
	i, ok := r.at[name]
	if !ok {
		i = len(r.fields)
		r.at[name] = i
		r.fields = append(r.fields, logstorage.Field{Name: name})
	}
	r.fields[i].Value = value
}

// attribute writes an attribute, of a map each of its values. It does not replace one of the first fields, of which there are
// as many as fixed.
func (r *row) attribute(name string, value pcommon.Value, fixed int) {
	if value.Type() == pcommon.ValueTypeMap && len(name) <= maxName {
		for inner, v := range value.Map().All() {
			r.attribute(name+"."+inner, v, fixed)
		}
		return
	}
	text := r.short(value.AsString())
	if text == "" {
		return
	}
	if r.bytes += len(name) + len(text); r.bytes > maxAttributes {
		r.cut = true
		return
	}
	if i, ok := r.at[name]; ok && i < fixed || strings.HasPrefix(name, "_") {
		name = "attributes." + name
	}
	if _, ok := r.at[name]; !ok && (name == "" || len(name) > maxName || !utf8.ValidString(name) || len(r.fields) >= maxFields || !r.bounds.names.admit(name)) {
		r.others[name] = text
		return
	}
	r.set(name, text)
}

func (r *row) short(s string) string { return shorten(s, maxValue, &r.cut) }

// shorten makes s valid UTF-8 of at most limit bytes.
func shorten(s string, limit int, cut *bool) string {
	const mark = "…"
	s = valid(s)
	if len(s) <= limit {
		return s
	}
	*cut = true
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
