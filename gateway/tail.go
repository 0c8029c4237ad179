package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newTailCommand() *cobra.Command {
	var gateway remote
	var format output
	var app, flag, idc, node string
	var failed bool
	var limit int
	cmd := &cobra.Command{
		Use:   "tail [--app APP] [--flag FLAGS] [--idc IDC] [--node ID] [--errors] [-n N]",
		Short: "Show requests as they end",
		Long: `Show what the Envoys report, as they report it: one line for each request or TCP connection that ended. A request that two
Envoys saw has two lines, one of each reporter. It goes on until Ctrl-C, or until -n lines.`,
		Example: `  lockkeeper tail --errors
  lockkeeper tail --app checkout --flag UF,URX -n 10 -o json`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			if limit < 0 {
				return usageError{fmt.Errorf("--lines %d: must not be negative", limit)}
			}
			query := url.Values{}
			for name, value := range map[string]string{"app": app, "flag": flag, "idc": idc, "node": node} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if failed {
				query.Set("errors", "true")
			}
			if limit > 0 {
				query.Set("limit", strconv.Itoa(limit))
			}
			return follow(cmd.Context(), &gateway, query, limit, asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "only requests from or to this `APP`")
	cmd.Flags().StringVar(&flag, "flag", "", "only requests with all of these response `FLAGS`, such as UF,URX")
	cmd.Flags().StringVar(&idc, "idc", "", "only what Envoys of this `IDC` report")
	cmd.Flags().StringVar(&node, "node", "", "only what the Envoy with this node `ID` reports")
	cmd.Flags().BoolVar(&failed, "errors", false, "only failed requests: no response code, 5xx, gRPC status but OK, or a flag")
	cmd.Flags().IntVarP(&limit, "lines", "n", 0, "end after `N` lines; 0: never")
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	completeFlag(cmd, "flag", flagsAfter)
	completeFlag(cmd, "idc", gateway.idcs)
	return cmd
}

// tailed is a line of /api/v1/tail, as far as it is shown.
type tailed struct {
	Dropped                 int
	Time                    time.Time
	Labels                  map[string]string
	Duration                float64 `json:"duration_ms"`
	RequestBytes            uint64  `json:"request_bytes"`
	ResponseBytes           uint64  `json:"response_bytes"`
	Method, Authority, Path string
	UpstreamHost            string `json:"upstream_host"`
	Details                 string `json:"response_code_details"`
	Error                   string
}

// follow shows lines until the limit is reached, unless it is 0, or the context ends, which is no error.
func follow(ctx context.Context, gateway *remote, query url.Values, limit int, asJSON bool, out, notes io.Writer) error {
	shown := 0
	ended, err := gateway.lines(ctx, "/api/v1/tail", query, func(line []byte) error {
		entry, err := show(line, asJSON, out, notes)
		if entry {
			shown++
		}
		return err
	})
	if ended && (limit == 0 || shown < limit) {
		return fmt.Errorf("the gateway at %s has ended the tail: it stops, or it reloads", gateway.url)
	}
	return err
}

// show shows a line; entry is false of one that tells of dropped ones.
func show(line []byte, asJSON bool, out, notes io.Writer) (entry bool, err error) {
	var t tailed
	if err := json.Unmarshal(line, &t); err != nil {
		return false, fmt.Errorf("not a line of a tail: %w", err)
	}
	switch {
	case asJSON:
		_, err = out.Write(line)
	case t.Dropped > 0:
		_, err = fmt.Fprintf(notes, "%d lines were too many to show: narrow the filter\n", t.Dropped)
	default:
		_, err = fmt.Fprintln(out, printable(t.text()))
	}
	return t.Dropped == 0, err
}

// text is one line for people.
func (t *tailed) text() string {
	l := t.Labels
	party := func(side string) string {
		known := func(name string) string {
			if v := l[side+name]; v != "unknown" {
				return v
			}
			return ""
		}
		name := cmp.Or(known("_app"), known("_workload"), known("_service"), "unknown")
		if version := known("_version"); version != "" {
			name += "/" + version
		}
		return name
	}
	what := strings.TrimSpace(t.Method + " " + t.Path)
	if l["request_protocol"] == "tcp" {
		what = fmt.Sprintf("TCP %d B in, %d B out", t.RequestBytes, t.ResponseBytes)
	}
	code := l["response_code"]
	if status := l["grpc_response_status"]; status != "" {
		code += " grpc " + status
	}
	parts := []string{
		t.Time.Local().Format("15:04:05.000"), l["reporter"], l["idc"], party("source"), "→", party("destination"),
		cmp.Or(what, "-"), code, l["response_flags"], strconv.FormatFloat(t.Duration, 'f', 1, 64) + "ms",
	}
	if t.Error != "" {
		parts = append(parts, "("+t.Error+")")
	}
	return strings.Join(parts, " ")
}
