package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// What a recording holds.
const (
	kindALS   = "als"
	kindStats = "stats"
)

func newRecordCommand() *cobra.Command {
	var gateway remote
	var kind, file, node, logName string
	var lasts time.Duration
	cmd := &cobra.Command{
		Use:   "record -f FILE [--kind als|stats] [--for TIME] [--node ID] [--log-name NAME]",
		Short: "Record what the Envoys send, to replay it elsewhere",
		Long: `Record the messages that arrive at a gateway, as they are, in a file that ` + "`lockkeeper replay`" + ` sends to another gateway.
It ends after --for, or by Ctrl-C; the file holds complete messages only.

Format: for each message its length as a varint, then a StreamAccessLogsMessage (als) or StreamMetricsMessage (stats) of Envoy's
API v3. Each names its stream's node, without node.extensions.

A recording of access logs holds what Envoy logs: paths, addresses, request ids, and every header and tag that it is configured to
log. Look at what is in it (` + "`lockkeeper tail -o json`" + ` shows the most) before you give it away.`,
		Example: `  lockkeeper record --for 30s -f als.binpb
  lockkeeper record --kind stats --node sidecar~10.1.0.7~web-1.shop~shop.svc --for 1m -f stats.binpb`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			if file == "" {
				return usageError{errors.New("say where to: -f FILE")}
			}
			if kind != kindALS && kind != kindStats {
				return usageError{fmt.Errorf("--kind %q: must be als or stats", kind)}
			}
			if lasts < 0 {
				return usageError{fmt.Errorf("--for %s: must not be negative", lasts)}
			}
			query := url.Values{"kind": {kind}}
			if node != "" {
				query.Set("node", node)
			}
			if logName != "" {
				query.Set("log_name", logName)
			}
			if lasts > 0 {
				query.Set("for", lasts.String())
			}
			response, err := gateway.get(cmd.Context(), "/api/v1/record", query)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			return record(cmd.Context(), response, file, cmd.ErrOrStderr())
		}),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` to write, readable by its owner only; what it held is gone")
	cmd.Flags().StringVar(&kind, "kind", kindALS, "als (access logs) or stats (of Envoy's metrics service)")
	cmd.Flags().DurationVar(&lasts, "for", 30*time.Second, "end after this `TIME`; 0: by Ctrl-C")
	cmd.Flags().StringVar(&node, "node", "", "only what the Envoy with this node `ID` sends")
	cmd.Flags().StringVar(&logName, "log-name", "", "only access logs with this log_name")
	gateway.addFlags(cmd)
	return cmd
}

// recorded is how far a recording has come.
type recorded struct {
	messages, bytes int
	nodes           map[string]struct{}
}

func (r *recorded) String() string {
	return fmt.Sprintf("%d messages, %.1f kB, %d nodes", r.messages, float64(r.bytes)/1e3, len(r.nodes))
}

// record writes what a gateway sends to a file, until either ends it.
func record(ctx context.Context, from *http.Response, file string, notes io.Writer) error {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close() // again: its error counts below
	messages, ended := make(chan []byte), make(chan error, 1)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for in := bufio.NewReader(from.Body); ; {
			message, err := readRecorded(in)
			if err != nil {
				ended <- err
				return
			}
			select {
			case messages <- message:
			case <-reading.Done():
				return
			}
		}
	}()
	done := recorded{nodes: map[string]struct{}{}}
	buffered := bufio.NewWriter(out)
	err = done.write(ctx, messages, ended, buffered, notes)
	if err := errors.Join(err, buffered.Flush(), out.Close()); err != nil {
		return fmt.Errorf("%w (%s: %s)", err, file, &done)
	}
	fmt.Fprintf(notes, "%s: %s\n", file, &done)
	if dropped := from.Trailer.Get("Lockkeeper-Dropped"); dropped != "" && dropped != "0" {
		fmt.Fprintf(notes, "%s messages more were dropped, because this command was too slow to take them\n", dropped)
	}
	if done.messages == 0 {
		fmt.Fprintln(notes, "nothing has arrived: `lockkeeper doctor` tells who sends what")
	}
	return nil
}

// write writes complete messages until the gateway ends the recording, or ctx does.
func (r *recorded) write(ctx context.Context, messages <-chan []byte, ended <-chan error, out io.Writer, notes io.Writer) error {
	known := speakers{}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("the gateway went away: %w", err)
		case <-tick.C:
			fmt.Fprintln(notes, r)
		case message := <-messages:
			size := binary.AppendUvarint(nil, uint64(len(message)))
			if _, err := out.Write(append(size, message...)); err != nil {
				return err
			}
			r.messages++
			r.bytes += len(size) + len(message)
			if from, ok, err := known.of(message); ok && err == nil {
				r.nodes[from.node] = struct{}{}
			}
		}
	}
}
