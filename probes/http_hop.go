package probes

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
)

// mostHead bounds what is read before the body.
const mostHead = 256 << 10

// hop sends each request over a connection of its own, and tells the attempt of its phases. (http.Transport shares connections, and
// logs by itself what servers do wrong.)
type hop struct {
	*httpProber
	attempt *attempt
	own     string // the target's own host:port, for which address stands; not those that it redirects to
	address string
}

// RoundTrip returns the response when its head was read. Its body ends with the request's context.
func (h *hop) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	conn, err := h.dial(ctx, authority(request.URL))
	if err != nil {
		return nil, err
	}
	var state *tls.ConnectionState
	if request.URL.Scheme == "https" {
		secure, err := h.secure(ctx, conn, request.URL.Hostname())
		if err != nil {
			_ = conn.Close() // the handshake says what is wrong
			return nil, err
		}
		s := secure.ConnectionState()
		conn, state = secure, &s
	}
	h.attempt.enter("processing")
	var response *http.Response
	if state != nil && state.NegotiatedProtocol == "h2" {
		response, err = two(conn).RoundTrip(request)
	} else {
		response, err = one(ctx, conn, request)
	}
	if err != nil {
		_ = conn.Close() // the probe says what is wrong
		return nil, err
	}
	response.TLS = state
	h.attempt.enter("transfer")
	return response, nil
}

func (h *hop) dial(ctx context.Context, at string) (net.Conn, error) {
	host, port, err := splitHostPort(at)
	if err != nil {
		return nil, err
	}
	address := h.address
	if at != h.own {
		address = ""
	}
	return h.dialer.dial(ctx, h.attempt, host, port, address)
}

func (h *hop) secure(ctx context.Context, conn net.Conn, host string) (*tls.Conn, error) {
	protocols := []string{"h2", "http/1.1"}
	if !h.module.EnableHTTP2 {
		protocols = protocols[1:]
	}
	h.attempt.enter("tls")
	secure := tls.Client(conn, h.attempt.tlsFor(h.tls, host, protocols...))
	return secure, secure.HandshakeContext(ctx)
}

// two speaks HTTP/2 over a connection that is ready for it.
func two(conn net.Conn) http.RoundTripper {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	return &http.Transport{
		Protocols: &protocols, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: mostHead,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
}

// one speaks HTTP/1.1.
func one(ctx context.Context, conn net.Conn, request *http.Request) (*http.Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends what reads or writes
	request = request.WithContext(ctx)
	request.Close = true
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	head := &io.LimitedReader{R: conn, N: mostHead}
	reader := bufio.NewReader(head)
	for {
		response, err := http.ReadResponse(reader, request)
		switch {
		case err != nil && head.N <= 0:
			return nil, errors.New("the head of the answer is too long")
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("connection closed before the answer was complete")
		case err != nil:
			return nil, err
		case response.StatusCode >= 100 && response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols:
			continue // an interim answer
		}
		head.N = math.MaxInt64
		response.Body = &onlyBody{response.Body, conn, stop}
		return response, nil
	}
}

// onlyBody is all that comes over its connection.
type onlyBody struct {
	io.ReadCloser
	conn net.Conn
	stop func() bool
}

func (b *onlyBody) Close() error {
	b.stop()
	return errors.Join(b.conn.Close(), b.ReadCloser.Close()) // in this order: what is left of the body is not read
}
