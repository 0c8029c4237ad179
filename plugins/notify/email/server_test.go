package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server speaks SMTP (RFC 5321) with STARTTLS (3207) and AUTH (4954), as far as a client that sends mail can see.
type server struct {
	listener net.Listener
	tls      *tls.Config
	implicit bool
	offers   string            // AUTH mechanisms; empty: none
	answers  map[string]string // to lines that begin so, instead of what is right
	done     sync.WaitGroup

	mu    sync.Mutex
	mails []delivery
	log   []string
}

type delivery struct {
	from, to, text, user string
	encrypted            bool
}

// startServer starts one. The file is its certificate.
func startServer(t *testing.T, change func(*server)) (s *server, certFile string) {
	t.Helper()
	certificate, certFile := selfSigned(t)
	s = &server{tls: &tls.Config{Certificates: []tls.Certificate{certificate}}, answers: map[string]string{}}
	if change != nil {
		change(s)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.listener = listener
	s.done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.done.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(s.stop)
	return s, certFile
}

func (s *server) stop() {
	_ = s.listener.Close()
	s.done.Wait()
}

func (s *server) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if s.implicit {
		conn = tls.Server(conn, s.tls)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(conn)
	mail := delivery{encrypted: s.implicit}
	say := func(format string, args ...any) { fmt.Fprintf(conn, format+"\r\n", args...) }
	read := func() (string, bool) {
		line, err := in.ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err == nil
	}
	say("220 mail.example.com ESMTP")
	for {
		line, ok := read()
		if !ok {
			return
		}
		verb := strings.ToUpper(line)
		s.mu.Lock()
		s.log = append(s.log, line)
		other := ""
		for begin, answer := range s.answers {
			if strings.HasPrefix(verb, strings.ToUpper(begin)) {
				other = answer
			}
		}
		s.mu.Unlock()
		switch {
		case other != "":
			say("%s", other)
		case strings.HasPrefix(verb, "EHLO"):
			if mail.encrypted || s.tls == nil {
				say("250-mail.example.com\r\n250-8BITMIME\r\n250 %s", s.offers)
			} else {
				say("250-mail.example.com\r\n250 STARTTLS")
			}
		case verb == "STARTTLS":
			say("220 go ahead")
			conn = tls.Server(conn, s.tls)
			in = bufio.NewReader(conn)
			mail.encrypted = true
		case strings.HasPrefix(verb, "AUTH PLAIN "):
			raw, _ := base64.StdEncoding.DecodeString(line[len("AUTH PLAIN "):])
			mail.user = string(raw)
			say("235 welcome")
		case verb == "AUTH LOGIN":
			for _, question := range []string{"User Name", "Password"} {
				say("334 %s", base64.StdEncoding.EncodeToString([]byte(question)))
				answer, _ := read()
				raw, _ := base64.StdEncoding.DecodeString(answer)
				mail.user += "\x00" + string(raw)
			}
			say("235 welcome")
		case strings.HasPrefix(verb, "MAIL FROM:"):
			mail.from = line[len("MAIL FROM:"):]
			say("250 ok")
		case strings.HasPrefix(verb, "RCPT TO:"):
			mail.to = line[len("RCPT TO:"):]
			say("250 ok")
		case verb == "DATA":
			say("354 go on")
			if mail.text, ok = data(in); !ok {
				return
			}
			s.mu.Lock()
			end := s.answers["."]
			if end == "" {
				s.mails = append(s.mails, mail)
				end = "250 taken"
			}
			s.mu.Unlock()
			say("%s", end)
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("500 what?")
		}
	}
}

// data reads a mail up to its dot, and complains of lines that are too long or have a bare newline.
func data(in *bufio.Reader) (string, bool) {
	var text strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil || !strings.HasSuffix(line, "\r\n") || len(line) > 1000 {
			return "", false
		}
		if line == ".\r\n" {
			return text.String(), true
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
}

func (s *server) answer(begin, with string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if with == "" {
		delete(s.answers, begin)
		return
	}
	s.answers[begin] = with
}

// take is what has been delivered since the last call.
func (s *server) take() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	mails := s.mails
	s.mails = nil
	return mails
}

func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "cert.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
