package probes

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// measure adds what the response tells but its health.
func measure(a *attempt, response *http.Response, redirects int, length int64) {
	a.add("probe_http_status_code", float64(response.StatusCode))
	a.add("probe_http_version", float64(response.ProtoMajor)+float64(response.ProtoMinor)/10)
	a.add("probe_http_redirects", float64(redirects))
	a.add("probe_http_content_length", float64(response.ContentLength))
	a.add("probe_http_uncompressed_body_length", float64(length))
	a.addBool("probe_http_ssl", response.TLS != nil)
	if at, err := http.ParseTime(response.Header.Get("Last-Modified")); err == nil {
		a.add("probe_http_last_modified_timestamp_seconds", seconds(at))
	}
}

// judge says what is wrong with a response, empty if nothing, and whether a regular expression said so.
func (m *HTTPModule) judge(response *http.Response, body []byte) (reason string, byRegexp bool) {
	switch code := response.StatusCode; {
	case len(m.ValidStatusCodes) == 0 && (code < 200 || code > 299):
		return fmt.Sprintf("status %d, want 2xx", code), false
	case len(m.ValidStatusCodes) > 0 && !slices.Contains(m.ValidStatusCodes, code):
		return fmt.Sprintf("status %d, want %s", code, strings.Trim(fmt.Sprint(m.ValidStatusCodes), "[]")), false
	case len(m.ValidHTTPVersions) > 0 && !slices.Contains(m.ValidHTTPVersions, response.Proto):
		return fmt.Sprintf("answered by %s, want %s", response.Proto, strings.Join(m.ValidHTTPVersions, " ")), false
	case m.FailIfSSL && response.TLS != nil:
		return "answered by TLS", false
	case m.FailIfNotSSL && response.TLS == nil:
		return "answered without TLS", false
	}
	for _, match := range m.FailIfHeader {
		if values := response.Header.Values(match.Header); slices.ContainsFunc(values, match.Regexp.MatchString) {
			return fmt.Sprintf("header %s matches %q", match.Header, match.Regexp), true
		} else if len(values) == 0 && !match.AllowMissing {
			return "header " + match.Header + " is missing", true
		}
	}
	for _, match := range m.FailIfHeaderNot {
		if values := response.Header.Values(match.Header); len(values) == 0 && !match.AllowMissing {
			return "header " + match.Header + " is missing", true
		} else if len(values) > 0 && !slices.ContainsFunc(values, match.Regexp.MatchString) {
			return fmt.Sprintf("header %s does not match %q", match.Header, match.Regexp), true
		}
	}
	for _, bad := range m.FailIfBody {
		if bad.Match(body) {
			return fmt.Sprintf("body matches %q", bad), true
		}
	}
	for _, good := range m.FailIfBodyNot {
		if !good.Match(body) {
			return fmt.Sprintf("body does not match %q", good), true
		}
	}
	return "", false
}
