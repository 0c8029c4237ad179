package envoy

import (
	"encoding/hex"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// traceContext is what a request's headers say of its trace. Without a valid one all of it is zero.
type traceContext struct {
	trace   pcommon.TraceID
	span    pcommon.SpanID
	sampled bool
}

// readTraceContext reads the first valid one of W3C's traceparent, B3's b3 and B3's X-B3-* headers, by names in lower case.
func readTraceContext(headers map[string]string) traceContext {
	if t, ok := readTraceparent(headers["traceparent"]); ok {
		return t
	}
	if t, ok := readB3(headers["b3"]); ok {
		return t
	}
	sampled := headers["x-b3-sampled"]
	if headers["x-b3-flags"] == "1" {
		sampled = "d"
	}
	t, _ := b3(headers["x-b3-traceid"], headers["x-b3-spanid"], sampled)
	return t
}

// readTraceparent reads version-trace-span-flags (W3C Trace Context, level 2).
func readTraceparent(s string) (t traceContext, ok bool) {
	const size = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(s) < size || s[2] != '-' || s[35] != '-' || s[52] != '-' || strings.ToLower(s[:size]) != s[:size] {
		return t, false
	}
	var version, flags [1]byte
	if !readHex(version[:], s[:2]) || version[0] == 0xff || version[0] == 0 && len(s) != size || len(s) > size && s[size] != '-' {
		return t, false
	}
	if !readHex(t.trace[:], s[3:35]) || !readHex(t.span[:], s[36:52]) || !readHex(flags[:], s[53:size]) || t.trace.IsEmpty() || t.span.IsEmpty() {
		return traceContext{}, false
	}
	t.sampled = flags[0]&1 != 0
	return t, true
}

// readB3 reads trace-span, trace-span-sampled or trace-span-sampled-parent.
func readB3(s string) (traceContext, bool) {
	parts := strings.SplitN(s, "-", 5)
	switch len(parts) {
	case 2:
		return b3(parts[0], parts[1], "")
	case 3, 4:
		return b3(parts[0], parts[1], parts[2])
	}
	return traceContext{}, false
}

// b3 reads a trace id of 64 or 128 bits, a span id and 0, 1 or d.
func b3(trace, span, sampled string) (t traceContext, ok bool) {
	if len(trace) == 16 {
		trace = "0000000000000000" + trace
	}
	if !readHex(t.trace[:], trace) || !readHex(t.span[:], span) || t.trace.IsEmpty() || t.span.IsEmpty() {
		return traceContext{}, false
	}
	t.sampled = sampled == "1" || sampled == "d" || sampled == "true"
	return t, true
}

// readHex fills to with the bytes that s is the hexadecimal form of, neither more nor fewer.
func readHex(to []byte, s string) bool {
	if len(s) != hex.EncodedLen(len(to)) {
		return false
	}
	_, err := hex.Decode(to, []byte(s))
	return err == nil
}
