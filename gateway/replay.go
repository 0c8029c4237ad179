package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// replay is what the command replay is asked for.
type replay struct {
	file, address, kind string
	ca, cert, key       string
	rate                float64
	loops               int
}

func newReplayCommand() *cobra.Command {
	var r replay
	cmd := &cobra.Command{
		Use:   "replay FILE [--address HOST:PORT] [--kind als|stats] [--rate N] [--loop N]",
		Short: "Send a recording to a gateway, as the Envoys did",
		Long: `Send what ` + "`lockkeeper record`" + ` recorded to a gateway: one stream for each node and log name, in the order of the file. A
message that does not say whose it is belongs to the stream of the one before, as in a stream that was recorded whole.

It ends when the gateway has read everything.`,
		Example: `  lockkeeper replay als.binpb
  lockkeeper replay als.binpb --address gateway.test:9001 --rate 100 --loop 10`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("say which recording: lockkeeper replay FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return does(func(cmd *cobra.Command) error {
				r.file = args[0]
				return r.run(cmd.Context(), cmd.OutOrStdout())
			})(cmd, args)
		},
	}
	cmd.Flags().StringVar(&r.address, "address", "localhost:9001", "`HOST:PORT` of the gateway's Envoy sink")
	cmd.Flags().StringVar(&r.kind, "kind", "", "als or stats; told from the recording when not given")
	cmd.Flags().Float64Var(&r.rate, "rate", 0, "messages a second; 0: as fast as the gateway takes them")
	cmd.Flags().IntVar(&r.loops, "loop", 1, "send the recording `N` times")
	cmd.Flags().StringVar(&r.ca, "ca", "", "use TLS, and trust the certificates in this `FILE`")
	cmd.Flags().StringVar(&r.cert, "cert", "", "with --ca: `FILE` of the client's own certificate")
	cmd.Flags().StringVar(&r.key, "key", "", "with --cert: `FILE` of its key")
	return cmd
}

func (r *replay) check() error {
	var host, port string
	err := split("address", r.address, &host, &port)
	if r.kind != "" && r.kind != kindALS && r.kind != kindStats {
		err = errors.Join(err, fmt.Errorf("--kind %q: must be als or stats", r.kind))
	}
	if !(r.rate >= 0) {
		err = errors.Join(err, fmt.Errorf("--rate %v: must not be negative", r.rate))
	}
	if r.loops < 1 {
		err = errors.Join(err, fmt.Errorf("--loop %d: must be 1 or more", r.loops))
	}
	if (r.cert == "") != (r.key == "") || r.cert != "" && r.ca == "" {
		err = errors.Join(err, errors.New("--cert: needs --key and --ca"))
	}
	if err != nil {
		return usageError{err}
	}
	return nil
}

func (r *replay) run(ctx context.Context, out io.Writer) error {
	if err := r.check(); err != nil {
		return err
	}
	file, err := os.Open(r.file)
	if err != nil {
		return err
	}
	defer file.Close()
	if r.kind == "" {
		if r.kind, err = findKind(bufio.NewReader(file)); err != nil {
			return fmt.Errorf("%s: %w", r.file, err)
		}
	}
	secure, err := r.credentials()
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(r.address, grpc.WithTransportCredentials(secure), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(encodedCodec{})))
	if err != nil {
		return fmt.Errorf("--address %q: %w", r.address, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx) // ends what is left of the streams
	defer cancel()
	p := newPlayer(conn, r.kind)
	for range r.loops {
		if _, err = file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err = r.play(ctx, p, bufio.NewReaderSize(file, 1<<20)); err != nil {
			break
		}
	}
	err = errors.Join(err, p.finish())
	fmt.Fprintln(out, p)
	if err != nil {
		return fmt.Errorf("%s: %w", r.file, err)
	}
	return nil
}

// play sends the messages of a recording at the rate that was asked for.
func (r *replay) play(ctx context.Context, p *player, in *bufio.Reader) error {
	began := time.Now()
	for n := 1; ; n++ {
		message, err := readRecorded(in)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("ends within message %d: it was cut off; what is before was sent", n)
		case err != nil:
			return fmt.Errorf("message %d: %w", n, err)
		}
		if r.rate > 0 {
			due := began.Add(time.Duration(float64(n-1) / r.rate * float64(time.Second)))
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(due)):
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted before message %d", n)
		}
		if err := p.send(ctx, message); err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
	}
}

// findKind reads until a message tells what the recording holds.
func findKind(in *bufio.Reader) (string, error) {
	for n := 1; ; n++ {
		message, err := readRecorded(in)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return "", errors.New("holds neither access logs nor stats")
		}
		if err != nil {
			return "", fmt.Errorf("message %d: %w", n, err)
		}
		if kind := kindOf(message); kind != "" {
			return kind, nil
		}
	}
}

func (r *replay) credentials() (credentials.TransportCredentials, error) {
	if r.ca == "" {
		return insecure.NewCredentials(), nil
	}
	config := tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	pem, err := os.ReadFile(r.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca %s: holds no certificate in PEM form", r.ca)
	}
	if r.cert != "" {
		own, err := tls.LoadX509KeyPair(r.cert, r.key)
		if err != nil {
			return nil, fmt.Errorf("--cert, --key: %w", err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return credentials.NewTLS(&config), nil
}
