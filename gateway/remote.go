package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// remote is a running gateway that a command asks, at its console.
type remote struct{ url string }

func (g *remote) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&g.url, "url", "http://localhost:7070", "`URL` of the gateway's console")
}

// get asks for a path below the console. Only an answer with status 200 is no error; its body must be closed, and ends with ctx.
func (g *remote) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	base, err := url.Parse(g.url)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, usageError{fmt.Errorf("--url %q: must be like http://localhost:7070", g.url)}
	}
	target := base.JoinPath(path)
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, DisableCompression: true}}
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
	var refusal struct{ Error string }
	body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	_ = json.Unmarshal(body, &refusal) // else the status says it
	switch response.StatusCode {
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s has no %s: is it a gateway's console, and does that gateway have the receiver envoy in a pipeline?", g.url, path)
	case http.StatusBadRequest:
		return nil, usageError{errors.New(cmp.Or(refusal.Error, response.Status))}
	}
	return nil, fmt.Errorf("%s: %s", g.url, cmp.Or(refusal.Error, response.Status))
}

// output is the flag -o.
type output string

func (o *output) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP((*string)(o), "output", "o", "text", "text or json")
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
