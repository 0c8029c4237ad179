package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/config/configtls"
)

// remote is a running gateway that a command asks, at its console.
type remote struct {
	url, token string
	tls        configtls.ClientConfig
	cluster    clusterState // what it says of its cluster, when it was asked; else nothing
}

func (g *remote) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&g.url, "url", defaultURLs()[0], "`URL` of the gateway's console; LOCKKEEPER_URL sets another default, of several its first")
	g.addAccessFlags(cmd)
}

func (g *remote) addAccessFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&g.token, "token", "", "`TOKEN` of the console's, for what changes something; better set LOCKKEEPER_TOKEN, which no process list shows")
	cmd.Flags().StringVar(&g.tls.CAFile, "ca-file", "", "`FILE` with the authority that signed the console's certificate; default: the system's")
	cmd.Flags().StringVar(&g.tls.CertFile, "cert-file", "", "`FILE` with a client certificate to show to the console, instead of a token")
	cmd.Flags().StringVar(&g.tls.KeyFile, "key-file", "", "`FILE` with the key of --cert-file")
}

// defaultURLs are the gateways that are asked unless --url names others.
func defaultURLs() []string {
	return strings.Split(cmp.Or(os.Getenv("LOCKKEEPER_URL"), "http://localhost:7070"), ",")
}

// refuses tells whether a gateway has understood what it was asked, and has not done it. With other errors it may have.
func refuses(err error) bool {
	var refused refusedError
	var usage usageError
	return errors.As(err, &usage) || errors.As(err, &refused) && refused.code < http.StatusInternalServerError
}

// get asks for a path below the console. Only an answer with status 200 is no error; its body must be closed, and ends with ctx.
func (g *remote) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	return g.ask(ctx, http.MethodGet, path, query)
}

// ask is get by any method.
func (g *remote) ask(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	return g.send(ctx, method, path, query, nil)
}

// read decodes what get brings. The body is the answer as it came.
func (g *remote) read(ctx context.Context, path string, query url.Values, answer any) (body []byte, err error) {
	response, err := g.get(ctx, path, query)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		return nil, fmt.Errorf("the gateway at %s went away: %w", g.url, err)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return nil, fmt.Errorf("the answer of %s is not what is asked for: %w", g.url, err)
	}
	return body, nil
}

// change is ask with a body, which is sent as JSON. The answer is decoded into answer.
func (g *remote) change(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	response, err := g.send(ctx, method, path, query, bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("the answer of %s is not what is asked for: %w", g.url, err)
	}
	return nil
}

func (g *remote) send(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	base, err := url.Parse(g.url)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, usageError{fmt.Errorf("--url %q: must be like http://localhost:7070", g.url)}
	}
	target := base.JoinPath(path)
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	if token := strings.TrimSpace(cmp.Or(g.token, os.Getenv("LOCKKEEPER_TOKEN"))); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	tls, err := g.tls.LoadTLSConfig(ctx)
	if err != nil {
		return nil, usageError{fmt.Errorf("--ca-file, --cert-file, --key-file: %w", err)}
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: tls, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, DisableCompression: true}}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no gateway at %s: start one with `lockkeeper run`, or give --url", g.url)
	case err != nil:
		return nil, fmt.Errorf("the gateway at %s does not answer: %w: is --url right?", g.url, errors.Unwrap(err))
	case response.StatusCode == http.StatusOK:
		return response, nil
	}
	defer response.Body.Close()
	return nil, g.refusal(response, path)
}

// refusedError is another answer than 200.
type refusedError struct {
	error
	code int // of HTTP
}

// refusal says why an answer is not the one that was asked for.
func (g *remote) refusal(response *http.Response, path string) error {
	var refusal struct{ Error, ErrorType string }
	body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	_ = json.Unmarshal(body, &refusal)                                   // else the status says it
	lines := strings.Split(cmp.Or(refusal.Error, response.Status), "\n") // one mistake each
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	reason := strings.Join(lines, "\n")
	switch {
	case response.StatusCode == http.StatusBadRequest:
		return usageError{errors.New(reason)}
	case response.StatusCode != http.StatusNotFound, refusal.Error != "" && refusal.ErrorType == "": // its part knows the path, and not what it names
		return refusedError{fmt.Errorf("%s: %s", g.url, reason), response.StatusCode}
	}
	part := "receiver envoy in a pipeline"
	switch {
	case path == overviewPath:
		return refusedError{fmt.Errorf("%s has no %s: is it a gateway's console, and of this version?", g.url, path), response.StatusCode}
	case strings.HasPrefix(path, "/api/v1/plugins"):
		part = "extension plugins"
	case strings.HasPrefix(path, "/api/v1/dns"):
		part = "extension dns"
	case strings.HasPrefix(path, "/api/v1/failover"), path == "/api/v1/serving", path == "/api/v1/events":
		part = "extension failover"
	case path == clusterPath:
		part = "extension cluster"
	}
	return refusedError{fmt.Errorf("%s has no %s: is it a gateway's console, and does that gateway have the %s?", g.url, path, part), response.StatusCode}
}

// lines asks for a path and hands each line of the answer to show, until the answer, the context or show comes to an end; only
// the last is an error. ended tells whether the gateway ended it.
func (g *remote) lines(ctx context.Context, path string, query url.Values, show func(line []byte) error) (ended bool, err error) {
	response, err := g.get(ctx, path, query)
	if err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, err
	}
	defer response.Body.Close()
	for lines := bufio.NewReader(response.Body); ; {
		line, err := lines.ReadBytes('\n')
		switch {
		case ctx.Err() != nil:
			return false, nil
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, fmt.Errorf("the gateway at %s went away: %w", g.url, err)
		}
		if err := show(line); err != nil {
			return false, err
		}
	}
}

// output is the flag -o.
type output string

func (o *output) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP((*string)(o), "output", "o", "text", "text or json")
	completeFlag(cmd, "output", words("text", "json"))
}

func (o output) json() (bool, error) {
	if o != "text" && o != "json" {
		return false, usageError{fmt.Errorf("--output %q: must be text or json", string(o))}
	}
	return o == "json", nil
}

// printable replaces what a terminal would take for a command: paths and headers are the clients' words.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffd' {
			return '?'
		}
		return r
	}, text)
}
