package probes

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
)

// TCPModule has the settings of kind tcp: blackbox_exporter's, with their defaults.
type TCPModule struct {
	QueryResponse []QueryResponse `mapstructure:"query_response"`
	UseTLS        bool            `mapstructure:"tls"`
	TLS           TLSConfig       `mapstructure:"tls_config"`
	PreferredIP   string          `mapstructure:"preferred_ip_protocol"`
	FallbackIP    bool            `mapstructure:"ip_protocol_fallback"`
	SourceIP      string          `mapstructure:"source_ip_address"`
}

// QueryResponse is a step of a talk: lines are read until one matches Expect, then a line is sent, then TLS begins; each if it is set.
type QueryResponse struct {
	Expect   Regexp `mapstructure:"expect"`
	Send     string `mapstructure:"send"` // ${1} is what the first group of Expect matched
	StartTLS bool   `mapstructure:"starttls"`
}

// mostTalk bounds what is read of the other side.
const mostTalk = 1 << 20

func defaultTCP() TCPModule { return TCPModule{PreferredIP: "ip6", FallbackIP: true} }

// Validate reports all mistakes.
func (m TCPModule) Validate() error {
	var errs []error
	encrypted := m.UseTLS
	for i, step := range m.QueryResponse {
		if step.StartTLS && encrypted {
			errs = append(errs, fmt.Errorf("query_response::%d::starttls: TLS has begun before", i))
		}
		encrypted = encrypted || step.StartTLS
		if step.Expect.Regexp == nil && step.Send == "" && !step.StartTLS {
			errs = append(errs, fmt.Errorf("query_response::%d: says nothing: set expect, send or starttls", i))
		}
	}
	return errors.Join(append(errs, m.dialer().validate(m.PreferredIP, m.SourceIP))...)
}

func (m *TCPModule) dialer() dialer { return newDialer(m.PreferredIP, m.FallbackIP, m.SourceIP) }

// tcpProber is a module of kind tcp, ready to probe.
type tcpProber struct {
	module *TCPModule
	dialer dialer
	tls    *tls.Config
}

func openTCP(module *Module, _ surroundings) (prober, error) {
	config, err := module.TCP.TLS.open()
	if err != nil {
		return nil, err
	}
	p := &tcpProber{module: &module.TCP, dialer: module.TCP.dialer(), tls: config}
	return p.probe, nil
}

func (p *tcpProber) probe(ctx context.Context, target *Target) Result {
	a := newAttempt()
	host, port, err := splitHostPort(target.Target)
	if err != nil {
		return a.fail(ctx, err)
	}
	conn, err := p.dialer.dial(ctx, a, host, port, target.Address)
	if err != nil {
		return a.fail(ctx, err)
	}
	talk := talk{Conn: conn}
	defer func() { _ = talk.Close() }() // the probe is over
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end) // fails only if conn is closed
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if p.module.UseTLS {
		if err := p.secure(ctx, a, &talk, host); err != nil {
			return a.fail(ctx, err)
		}
	}
	if len(p.module.QueryResponse) > 0 {
		a.enter("response")
	}
	for _, step := range p.module.QueryResponse {
		if reason, err := p.step(ctx, a, &talk, step, host); err != nil {
			return a.fail(ctx, err)
		} else if reason != "" {
			a.addBool("probe_failed_due_to_regex", true)
			return a.end(reason)
		}
	}
	a.addBool("probe_failed_due_to_regex", false)
	return a.end("")
}

// talk is a connection that is read line by line.
type talk struct {
	net.Conn
	lines *bufio.Scanner // nil: nothing was read yet
}

func (t *talk) scanner() *bufio.Scanner {
	if t.lines == nil {
		t.lines = bufio.NewScanner(io.LimitReader(t.Conn, mostTalk))
	}
	return t.lines
}

func (p *tcpProber) secure(ctx context.Context, a *attempt, t *talk, host string) error {
	a.enter("tls")
	secure := tls.Client(t.Conn, a.tlsFor(p.tls, host))
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	*t = talk{Conn: secure}
	return nil
}

// step makes one step of the talk. The reason says why the other side did not say what it should.
func (p *tcpProber) step(ctx context.Context, a *attempt, t *talk, step QueryResponse, host string) (reason string, err error) {
	send := []byte(step.Send)
	if step.Expect.Regexp != nil {
		lines, found := t.scanner(), []int(nil)
		for found == nil {
			if !lines.Scan() {
				if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
					return "", err
				}
				return fmt.Sprintf("no line of the answer matches %q", step.Expect), nil
			}
			found = step.Expect.FindSubmatchIndex(lines.Bytes())
		}
		send = step.Expect.Expand(nil, send, lines.Bytes(), found)
	}
	if step.Send != "" {
		if _, err := t.Write(append(send, '\n')); err != nil {
			return "", err
		}
	}
	if step.StartTLS {
		if err := p.secure(ctx, a, t, host); err != nil {
			return "", err
		}
		a.enter("response")
	}
	return "", nil
}
