package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// dnsServer is one that is asked.
type dnsServer struct {
	*dnsProber
	attempt         *attempt
	target, address string
}

// ask asks one question. A truncated answer over UDP is asked for again over TCP.
func (s dnsServer) ask(ctx context.Context, network, name string, qtype, class uint16) (*dns.Msg, error) {
	question := &dns.Msg{}
	question.SetQuestion(name, qtype)
	question.Question[0].Qclass = class
	question.RecursionDesired = s.module.RecursionDesired
	answer, err := s.exchange(ctx, network, question)
	if err == nil && answer.Truncated && network == "udp" {
		return s.exchange(ctx, "tcp", question)
	}
	return answer, err
}

func (s dnsServer) exchange(ctx context.Context, network string, question *dns.Msg) (*dns.Msg, error) {
	host, port, err := splitServer(s.target)
	if err != nil {
		return nil, err
	}
	conn, err := s.dialer.dialOver(ctx, network, s.attempt, host, port, s.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	s.attempt.enter("request")
	c := &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
	if err := c.WriteMsg(question); err != nil {
		return nil, err
	}
	return s.hear(c, network, question)
}

// hear waits for the answer to a question. What comes over UDP and is none may be from anybody, so it does not end the wait.
func (s dnsServer) hear(c *dns.Conn, network string, question *dns.Msg) (*dns.Msg, error) {
	strange := 0
	for {
		packet, err := c.ReadMsgHeader(nil)
		answer := &dns.Msg{}
		if err == nil {
			err = isAnswer(question, answer, packet)
		}
		var failure net.Error
		switch {
		case err == nil:
			return answer, nil
		case errors.Is(err, os.ErrDeadlineExceeded) && strange > 0:
			return nil, &strangeError{strange, err}
		case errors.As(err, &failure) || network == "tcp":
			return nil, err
		}
		strange++
	}
}

// isAnswer reads a packet, and tells why it is no answer to a question.
func isAnswer(question, answer *dns.Msg, packet []byte) error {
	if err := answer.Unpack(packet); err != nil {
		return fmt.Errorf("the answer is garbage: %w", err)
	}
	asked := question.Question[0]
	switch {
	case answer.Id != question.Id:
		return errors.New("the answer has another ID than the question")
	case !answer.Response || answer.Opcode != question.Opcode:
		return errors.New("the answer is none")
	case len(answer.Question) == 0 && answer.Rcode != dns.RcodeSuccess: // refused without a look at it
		return nil
	case len(answer.Question) != 1 || !strings.EqualFold(answer.Question[0].Name, asked.Name) ||
		answer.Question[0].Qtype != asked.Qtype || answer.Question[0].Qclass != asked.Qclass:
		return errors.New("the answer is to another question")
	}
	return nil
}

// strangeError is that of a wait in which something came, but no answer.
type strangeError struct {
	n   int
	err error
}

func (e *strangeError) Error() string {
	return fmt.Sprintf("no answer, but %d packets that are none", e.n)
}

func (e *strangeError) Unwrap() error { return e.err }
