package envoy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTraceContext(t *testing.T) {
	const (
		trace = "4bf92f3577b34da6a3ce929d0e0e4736"
		span  = "00f067aa0ba902b7"
		none  = ""
	)
	f := func(headers map[string]string, wantTrace, wantSpan string, sampled bool) {
		t.Helper()
		got := readTraceContext(headers)
		require.Equal(t, []any{wantTrace, wantSpan, sampled}, []any{got.trace.String(), got.span.String(), got.sampled})
	}
	w3c := func(s string) map[string]string { return map[string]string{"traceparent": s} }
	f(w3c("00-"+trace+"-"+span+"-01"), trace, span, true)
	f(w3c("00-"+trace+"-"+span+"-00"), trace, span, false)
	// a later version may have more
	f(w3c("cc-"+trace+"-"+span+"-01-what-the-future-brings"), trace, span, true)
	f(w3c("cc-"+trace+"-"+span+"-01.x"), none, none, false)
	f(w3c("00-"+trace+"-"+span+"-01-x"), none, none, false)
	f(w3c("ff-"+trace+"-"+span+"-01"), none, none, false)
	f(w3c("00-4BF92F3577B34DA6A3CE929D0E0E4736-"+span+"-01"), none, none, false)
	f(w3c("00-00000000000000000000000000000000-"+span+"-01"), none, none, false)
	f(w3c("00-"+trace+"-0000000000000000-01"), none, none, false)
	f(w3c("00-"+trace+"-"+span+"-zz"), none, none, false)
	f(w3c("00-"+trace), none, none, false)
	f(w3c("-"), none, none, false)

	b3 := func(s string) map[string]string { return map[string]string{"b3": s} }
	f(b3(trace+"-"+span+"-1-05e3ac9a4f6e3b90"), trace, span, true)
	f(b3(trace+"-"+span+"-d"), trace, span, true)
	f(b3(trace+"-"+span+"-0"), trace, span, false)
	f(b3(trace+"-"+span), trace, span, false)
	// 64 bits
	f(b3("a3ce929d0e0e4736-"+span+"-1"), "0000000000000000a3ce929d0e0e4736", span, true)
	f(b3("0"), none, none, false)
	f(b3(trace+"-"+span+"-1-2-3"), none, none, false)
	f(b3("xyz-"+span), none, none, false)

	f(map[string]string{"x-b3-traceid": trace, "x-b3-spanid": span, "x-b3-sampled": "1"}, trace, span, true)
	f(map[string]string{"x-b3-traceid": "a3ce929d0e0e4736", "x-b3-spanid": span, "x-b3-flags": "1"}, "0000000000000000a3ce929d0e0e4736", span, true)
	f(map[string]string{"x-b3-traceid": trace}, none, none, false)
	// the first that is valid
	f(map[string]string{"traceparent": "garbage", "b3": trace + "-" + span + "-1"}, trace, span, true)
	f(nil, none, none, false)
}

// A trace context has both ids or neither, and those of a traceparent are in it as they are.
func FuzzTraceContext(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "", "", "")
	f.Add("", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90", "", "")
	f.Add("", "0", "a3ce929d0e0e4736", "00f067aa0ba902b7")
	f.Fuzz(func(t *testing.T, traceparent, b3, trace, span string) {
		got := readTraceContext(map[string]string{"traceparent": traceparent, "b3": b3, "x-b3-traceid": trace, "x-b3-spanid": span})
		require.Equal(t, got.trace.IsEmpty(), got.span.IsEmpty())
		require.False(t, got.sampled && got.trace.IsEmpty())
		if w3c, ok := readTraceparent(traceparent); ok {
			require.Equal(t, w3c, got)
			require.Equal(t, traceparent[3:52], got.trace.String()+"-"+got.span.String())
		}
	})
}
