package probes

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/config/configopaque"
	"golang.org/x/net/http/httpguts"
)

// HTTPModule has the settings of kind http: blackbox_exporter's, with their defaults.
type HTTPModule struct {
	ValidStatusCodes  []int    `mapstructure:"valid_status_codes"`  // empty: 200 to 299
	ValidHTTPVersions []string `mapstructure:"valid_http_versions"` // HTTP/1.1, HTTP/2.0; empty: any

	Method  string                         `mapstructure:"method"`
	Headers map[string]configopaque.String `mapstructure:"headers"`
	Body    string                         `mapstructure:"body"`

	BasicAuth     BasicAuth           `mapstructure:"basic_auth"`
	BearerToken   configopaque.String `mapstructure:"bearer_token"`
	Authorization Authorization       `mapstructure:"authorization"`

	FollowRedirects   bool `mapstructure:"follow_redirects"`
	NoFollowRedirects bool `mapstructure:"no_follow_redirects"` // the old name of the opposite
	EnableHTTP2       bool `mapstructure:"enable_http2"`

	FailIfSSL       bool          `mapstructure:"fail_if_ssl"`
	FailIfNotSSL    bool          `mapstructure:"fail_if_not_ssl"`
	FailIfBody      []Regexp      `mapstructure:"fail_if_body_matches_regexp"`
	FailIfBodyNot   []Regexp      `mapstructure:"fail_if_body_not_matches_regexp"`
	FailIfHeader    []HeaderMatch `mapstructure:"fail_if_header_matches"`
	FailIfHeaderNot []HeaderMatch `mapstructure:"fail_if_header_not_matches"`
	BodySizeLimit   Bytes         `mapstructure:"body_size_limit"` // so much is read and matched: what follows does not matter
	TLS             TLSConfig     `mapstructure:"tls_config"`
	PreferredIP     string        `mapstructure:"preferred_ip_protocol"`
	FallbackIP      bool          `mapstructure:"ip_protocol_fallback"`
	SourceIP        string        `mapstructure:"source_ip_address"`
}

// BasicAuth is a name and a password.
type BasicAuth struct {
	Username string              `mapstructure:"username"`
	Password configopaque.String `mapstructure:"password"`
}

// Authorization is the value of that header.
type Authorization struct {
	Type        string              `mapstructure:"type"` // empty: Bearer
	Credentials configopaque.String `mapstructure:"credentials"`
}

// HeaderMatch is a condition on the values of a header.
type HeaderMatch struct {
	Header       string `mapstructure:"header"`
	Regexp       Regexp `mapstructure:"regexp"`
	AllowMissing bool   `mapstructure:"allow_missing"`
}

func defaultHTTP() HTTPModule {
	return HTTPModule{
		Method: http.MethodGet, FollowRedirects: true, EnableHTTP2: true, BodySizeLimit: 1 << 20, PreferredIP: "ip6", FallbackIP: true,
	}
}

// Validate reports all mistakes.
func (m HTTPModule) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for _, code := range m.ValidStatusCodes {
		check(code >= 100 && code <= 599, "valid_status_codes: %d is no status: use 100 to 599", code)
	}
	for _, version := range m.ValidHTTPVersions {
		_, _, ok := http.ParseHTTPVersion(version)
		check(ok, "valid_http_versions: %q: must be like HTTP/1.1 or HTTP/2.0", version)
	}
	check(httpguts.ValidHeaderFieldName(m.Method), "method: %q is no method", m.Method)
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		check(httpguts.ValidHeaderFieldName(name), "headers: %q is no name of a header", name)
		check(httpguts.ValidHeaderFieldValue(string(m.Headers[name])), "headers::%s: the value has characters that no header may have", name)
	}
	check(!m.FailIfSSL || !m.FailIfNotSSL, "fail_if_ssl: contradicts fail_if_not_ssl: leave one of them away")
	ways := 0
	for _, set := range []bool{m.BasicAuth != BasicAuth{}, m.BearerToken != "", m.Authorization != Authorization{}} {
		if set {
			ways++
		}
	}
	check(ways <= 1, "basic_auth, bearer_token, authorization: set one of them")
	check(m.BodySizeLimit > 0, "body_size_limit: %d: must be above 0", m.BodySizeLimit)
	for _, match := range slices.Concat(m.FailIfHeader, m.FailIfHeaderNot) {
		check(httpguts.ValidHeaderFieldName(match.Header), "fail_if_header_matches, fail_if_header_not_matches: header: %q is no name of a header", match.Header)
		check(match.Regexp.Regexp != nil, "fail_if_header_matches, fail_if_header_not_matches: regexp: missing for header %q", match.Header)
	}
	return errors.Join(append(errs, m.dialer().validate(m.PreferredIP, m.SourceIP))...)
}

func (m *HTTPModule) dialer() dialer { return newDialer(m.PreferredIP, m.FallbackIP, m.SourceIP) }

func (m *HTTPModule) authorization() string {
	switch {
	case m.BearerToken != "":
		return "Bearer " + strings.TrimSpace(string(m.BearerToken))
	case m.Authorization.Type != "":
		return m.Authorization.Type + " " + strings.TrimSpace(string(m.Authorization.Credentials))
	case m.Authorization.Credentials != "":
		return "Bearer " + strings.TrimSpace(string(m.Authorization.Credentials))
	}
	return ""
}
