// Package mesh turns Envoy access-log entries into Istio's standard metrics.
//
// In come the bytes of StreamAccessLogsMessage, one Stream per gRPC stream. Out come, at each Flush, Series (Istio's label set
// with cumulative counters and histograms, of requests or of TCP connections) and Counters (flags one by one, tries by endpoint,
// what is lost between two ends); and at any time Edges (who called whom in the last minute). It does no I/O,
// starts no goroutine, keeps no sub-slice of the bytes it is given, and never takes a label from a path or user agent.
//
// Sources: Envoy data/accesslog/v3, Istio's standard metrics and the istio_stats filter for names and fallbacks.
package mesh
