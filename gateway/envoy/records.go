package envoy

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// recordBytes bounds what waits for the logs pipeline: entries as Envoy sent them, and what was found out about them.
const recordBytes = 8 << 20

// recorder makes log records of access-log entries. An entry waits as Envoy sent it, until the next flush or until half of the
// room is taken, and longer if the logs pipeline refuses it. No stream is blocked: an entry without room is dropped and counted.
type recorder struct {
	*envoyReceiver
	policy     recordPolicy
	attributes []recordAttribute
	room       int           // bytes
	half       chan struct{} // gets a value when half of the room is taken

	flushing sync.Mutex
	mu       sync.Mutex
	waiting  []waitingEntry
	bytes    int                                // of all that waits or is on its way
	sources  map[recordSource]*pcommon.Resource // of what waits

	records                   atomic.Int64 // handed on
	full, refused, unreadable atomic.Int64 // dropped, by why
}

// recordSource tells whose entries share a resource.
type recordSource struct{ node, logName, idc, app, version string }

type waitingEntry struct {
	resource *pcommon.Resource
	raw      []byte // HTTPAccessLogEntry, or TCPAccessLogEntry if tcp
	tcp      bool
	failed   bool
	flags    mesh.Flags
	labels   []mesh.Label
	at       time.Time // when it was seen
}

// bytes is about what it takes in memory: the struct and some texts of its labels besides what has a length here.
func (e *waitingEntry) bytes() int { return 640 + len(e.raw) + 32*len(e.labels) }

// newRecorder returns the recorder of r, whose configuration is valid and whose pipelines are known.
func newRecorder(r *envoyReceiver) *recorder {
	policy, _ := parseRecordPolicy(r.config.AccessLogs) // Validate has said so if it fails
	return &recorder{
		envoyReceiver: r, policy: policy, attributes: recordAttributes(r.config.RecordAttributes),
		room: recordBytes, half: make(chan struct{}, 1), sources: map[recordSource]*pcommon.Resource{},
	}
}

// idle tells that no entry will ever be wanted.
func (r *recorder) idle() bool { return r.nextLogs == nil || r.policy == recordPolicy{} }

// want tells whether see is to be called with an entry, by whether its request failed.
func (r *recorder) want(failed bool) bool {
	return !r.idle() && (failed && r.policy.failed || r.policy.share > 0)
}

// see keeps a copy of an entry that the policy chooses.
func (r *recorder) see(o *mesh.Observed) {
	if !r.policy.chooses(o) {
		return
	}
	e := waitingEntry{tcp: o.TCP, failed: o.Failed, flags: o.Flags, labels: o.Labels(), raw: o.Raw, at: time.Now()}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.bytes
	if before+e.bytes() > r.room {
		r.full.Add(1)
		return
	}
	r.bytes += e.bytes()
	e.raw = bytes.Clone(o.Raw)
	source := recordSource{o.Node.ID, o.Node.LogName, o.Node.IDC, o.Node.App(), o.Node.Version()}
	if e.resource = r.sources[source]; e.resource == nil {
		resource := r.resource(o.Node)
		e.resource, r.sources[source] = &resource, &resource
	}
	r.waiting = append(r.waiting, e)
	if before < r.room/2 && r.bytes >= r.room/2 {
		select {
		case r.half <- struct{}{}:
		default: // run has not come to the one before
		}
	}
}

// run flushes at every flush interval, and when half of the room is taken, until ctx ends. It is not the metrics' flush, so that
// a logs pipeline that blocks does not hold up metrics.
func (r *recorder) run(ctx context.Context) {
	tick := time.NewTicker(r.config.FlushInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.half:
		}
		if err := r.flush(ctx); err != nil {
			r.set.Logger.Warn("access-log records refused; but for those refused for good, they come again with the next flush", zap.Error(err))
		}
	}
}

// flush hands on what waits, in requests of at most requestBytes. It returns the first error: what was refused for good is dropped
// and the rest goes on; after any other refusal all that is left waits for the next flush.
func (r *recorder) flush(ctx context.Context) (first error) {
	r.flushing.Lock()
	defer r.flushing.Unlock()
	r.mu.Lock()
	rest := r.waiting
	r.waiting, r.sources = nil, map[recordSource]*pcommon.Resource{}
	r.mu.Unlock()
	for len(rest) > 0 {
		logs, taken, unreadable := r.request(rest)
		err := r.send(ctx, logs)
		if err != nil && first == nil {
			first = err
		}
		if err != nil && !consumererror.IsPermanent(err) {
			break
		}
		r.unreadable.Add(int64(unreadable))
		r.done(rest[:taken])
		rest = rest[taken:]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(rest) > 0 {
		r.waiting = append(rest, r.waiting...)
	}
	return first
}

// done gives the room of entries back.
func (r *recorder) done(entries []waitingEntry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range entries {
		r.bytes -= entries[i].bytes()
	}
}

func (r *recorder) send(ctx context.Context, logs plog.Logs) error {
	n := logs.LogRecordCount()
	if n == 0 {
		return nil
	}
	op := r.report.StartLogsOp(ctx)
	err := r.nextLogs.ConsumeLogs(ctx, logs)
	r.report.EndLogsOp(op, "als", n, err)
	switch {
	case err == nil:
		r.records.Add(int64(n))
	case consumererror.IsPermanent(err):
		r.refused.Add(int64(n))
	}
	return err
}

// request writes as many of the first entries as requestBytes allow, at least one, grouped by resource. It returns how many it
// took, and how many of these could not be read.
func (r *recorder) request(entries []waitingEntry) (logs plog.Logs, taken, unreadable int) {
	logs = plog.NewLogs()
	groups := map[*pcommon.Resource]plog.LogRecordSlice{}
	sum := 0
	for ; taken < len(entries); taken++ {
		e := &entries[taken]
		record, bytes, err := r.record(e)
		if err != nil {
			unreadable++
			continue
		}
		group, ok := groups[e.resource]
		if !ok {
			bytes += resourceBytes(e.resource)
		}
		if sum += bytes; sum > requestBytes && len(groups) > 0 {
			break
		}
		if !ok {
			to := logs.ResourceLogs().AppendEmpty()
			to.SetSchemaUrl(schemaURL)
			e.resource.CopyTo(to.Resource())
			scope := to.ScopeLogs().AppendEmpty()
			scope.Scope().SetName("github.com/lockkeeper/lockkeeper/gateway/envoy")
			group = scope.LogRecords()
			groups[e.resource] = group
		}
		record.MoveTo(group.AppendEmpty())
	}
	return logs, taken, unreadable
}
