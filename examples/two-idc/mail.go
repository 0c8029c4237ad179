package main

import (
	"bytes"
	"errors"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// serveMail speaks SMTP (RFC 5321), as far as a client that sends mail needs it.
func (b *inbox) serveMail() {
	for {
		conn, err := b.mail.Accept()
		if err != nil {
			return
		}
		go b.takeMails(conn)
	}
}

func (b *inbox) takeMails(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	c := textproto.NewConn(conn)
	_ = c.PrintfLine("220 localhost ESMTP")
	var greeted, from, to bool
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		answer := "503 not now"
		switch verb := strings.ToUpper(line); {
		case strings.HasPrefix(verb, "EHLO "):
			greeted, answer = true, "250-localhost\r\n250 8BITMIME"
		case strings.HasPrefix(verb, "MAIL FROM:<") && greeted:
			from, to, answer = true, false, "250 ok"
		case strings.HasPrefix(verb, "RCPT TO:<") && from:
			to, answer = true, "250 ok"
		case verb == "DATA" && to:
			_ = c.PrintfLine("354 go on")
			text, err := c.ReadDotBytes()
			if err != nil {
				return
			}
			b.keep(readMail(text))
			from, to, answer = false, false, "250 taken"
		case verb == "QUIT":
			_ = c.PrintfLine("221 bye")
			return
		}
		_ = c.PrintfLine("%s", answer)
	}
}

func readMail(text []byte) (message, error) {
	got, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return message{}, err
	}
	if to := got.Header.Get("To"); to != "<oncall@example.com>" || got.Header.Get("Message-Id") == "" {
		return message{}, errors.New("mail: not to oncall@example.com, or without a Message-ID")
	}
	m, err := readTitle(got.Header.Get("Subject"))
	m.channel = "mail"
	return m, err
}
