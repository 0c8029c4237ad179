package main

import (
	_ "embed"
	"errors"
	"io"
)

//go:embed snippet_xds.yaml.tmpl
var xdsTemplate string

// xdsSnippet is what the template of snippet_xds.yaml.tmpl is filled with.
type xdsSnippet struct {
	XDSHost, XDSPort string // the gateway's extension xds
	APIType          string // how Envoy asks: DELTA_GRPC or GRPC
}

// writeXDS writes the bootstrap of an Envoy that takes everything from the extension at address.
func (s *envoySnippet) writeXDS(out io.Writer, address string, sotw, full bool) error {
	err := split("xds", address, &s.XDSHost, &s.XDSPort)
	if full {
		err = errors.Join(err, errors.New("--full: is a configuration without xDS: leave out one of --full and --xds"))
	}
	if err != nil {
		return usageError{err}
	}
	s.APIType = "DELTA_GRPC"
	if sotw {
		s.APIType = "GRPC"
	}
	return writeSnippet(out, snippetTemplate+xdsTemplate, "xds", s)
}
