package probes

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

const mostRedirects = 10

// httpProber is a module of kind http, ready to probe.
type httpProber struct {
	module *HTTPModule
	dialer dialer
	tls    *tls.Config
}

func openHTTP(module *Module, _ surroundings) (prober, error) {
	config, err := module.HTTP.TLS.open()
	if err != nil {
		return nil, err
	}
	p := &httpProber{module: &module.HTTP, dialer: module.HTTP.dialer(), tls: config}
	return p.probe, nil
}

func checkHTTP(target *Target) error {
	_, err := parseURL(target.Target)
	return err
}

// parseURL reads a URL; without a scheme it is of http.
func parseURL(target string) (*url.URL, error) {
	if !strings.Contains(target, "://") {
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL: %w", target, errors.Unwrap(err))
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q: the scheme must be http or https", target)
	case u.User != nil:
		return nil, fmt.Errorf("%q: put the name and password into the module's basic_auth", u.Redacted())
	}
	if _, _, err := splitHostPort(authority(u)); err != nil {
		return nil, fmt.Errorf("%q is no URL: the host or port is wrong", target)
	}
	return u, nil
}

// authority is host:port of a URL.
func authority(u *url.URL) string {
	port := u.Port()
	if port == "" && !strings.HasSuffix(u.Host, ":") {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// probe sends one request, and those of its redirects, each over a new connection.
func (p *httpProber) probe(ctx context.Context, target *Target) Result {
	a := newAttempt()
	u, err := parseURL(target.Target)
	if err != nil {
		return a.fail(ctx, err)
	}
	request, err := p.request(ctx, u)
	if err != nil {
		return a.fail(ctx, err)
	}
	redirects := 0
	client := http.Client{
		Transport: &hop{p, a, authority(u), target.Address},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			if !p.module.FollowRedirects || p.module.NoFollowRedirects {
				return http.ErrUseLastResponse
			}
			if redirects == mostRedirects {
				return fmt.Errorf("more than %d redirects", mostRedirects)
			}
			redirects++
			return nil
		},
	}
	response, err := client.Do(request)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return a.fail(ctx, err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	keep := io.Discard
	if len(p.module.FailIfBody)+len(p.module.FailIfBodyNot) > 0 {
		keep = &body
	}
	length, err := io.Copy(keep, io.LimitReader(response.Body, int64(p.module.BodySizeLimit)))
	measure(a, response, redirects, length)
	if err != nil {
		return a.fail(ctx, err)
	}
	reason, byRegexp := p.module.judge(response, body.Bytes())
	a.addBool("probe_failed_due_to_regex", byRegexp)
	return a.end(reason)
}

func (p *httpProber) request(ctx context.Context, u *url.URL) (*http.Request, error) {
	var body io.Reader
	if p.module.Body != "" {
		body = strings.NewReader(p.module.Body)
	}
	request, err := http.NewRequestWithContext(ctx, p.module.Method, u.String(), body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "Lockkeeper")
	if a := p.module.authorization(); a != "" {
		request.Header.Set("Authorization", a)
	}
	if (p.module.BasicAuth != BasicAuth{}) {
		request.SetBasicAuth(p.module.BasicAuth.Username, string(p.module.BasicAuth.Password))
	}
	for name, value := range p.module.Headers {
		if strings.EqualFold(name, "Host") {
			request.Host = string(value)
			continue
		}
		request.Header.Set(name, string(value))
	}
	return request, nil
}
