package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// inboxSecret is the key of every channel.
const inboxSecret = "demo-only"

// An inbox stands for all that notifications go to. It checks them as the real APIs do, as far as a few lines can.
type inbox struct {
	web, mail net.Listener
	server    *http.Server

	mu      sync.Mutex
	all     []message
	wrong   []error
	aliases map[string]string // groups by Opsgenie's alias: the end of an alert has nothing else
}

// A message is a notification of a group of alerts, as one channel got it.
type message struct {
	channel string
	group   string // alertname and, if the group has one, IDC
	firing  int    // alerts; 0: all are over
	at      time.Time
}

func (m message) String() string {
	if m.firing == 0 {
		return m.at.Format(time.TimeOnly) + " over"
	}
	return fmt.Sprintf("%s %d firing", m.at.Format(time.TimeOnly), m.firing)
}

func channels() []string { return []string{"webhook", "teams", "opsgenie", "mail"} }

func openInbox() (*inbox, error) {
	b := &inbox{aliases: map[string]string{}}
	var err error
	if b.web, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if b.mail, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, b.web.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("POST /hook", b.handle("webhook", http.StatusOK, readHook))
	mux.Handle("POST /teams", b.handle("teams", http.StatusAccepted, readCard))
	mux.Handle("POST /v2/alerts", b.handle("opsgenie", http.StatusAccepted, b.openAlert))
	mux.Handle("POST /v2/alerts/{alias}/close", b.handle("opsgenie", http.StatusAccepted, b.closeAlert))
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) {
		b.keep(message{}, fmt.Errorf("nobody expects %s %s", r.Method, r.URL.Path))
	})
	b.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = b.server.Serve(b.web) }()
	go b.serveMail()
	return b, nil
}

func (b *inbox) close() error { return errors.Join(b.server.Close(), b.mail.Close()) }

// keep takes a message, or what is wrong with it.
func (b *inbox) keep(m message, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.wrong = append(b.wrong, err)
		return
	}
	m.at = time.Now()
	b.all = append(b.all, m)
}

// messages are all so far, or what was wrong with any.
func (b *inbox) messages() ([]message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all), errors.Join(b.wrong...)
}

// groups are all that any channel was told of.
func (b *inbox) groups() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[string]bool{}
	for _, m := range b.all {
		seen[m.group] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// each calls check with what each channel got of each group, which is something.
func (b *inbox) each(groups []string, check func([]message) error) error {
	all, err := b.messages()
	if err != nil {
		return final(err)
	}
	for _, channel := range channels() {
		for _, group := range groups {
			got := slices.DeleteFunc(slices.Clone(all), func(m message) bool { return m.channel != channel || m.group != group })
			if len(got) == 0 {
				return fmt.Errorf("%s was not told of %s", channel, group)
			}
			if err := check(got); err != nil {
				return fmt.Errorf("%s, %s: %w", channel, group, err)
			}
		}
	}
	return nil
}

func (b *inbox) handle(channel string, status int, read func(*http.Request, []byte) (message, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Header.Get("Content-Type") != "application/json" {
			err = fmt.Errorf("Content-Type %q", r.Header.Get("Content-Type"))
		}
		var m message
		if err == nil {
			m, err = read(r, body)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w: %.300s", channel, err, body)
			status = http.StatusBadRequest
		}
		m.channel = channel
		b.keep(m, err)
		w.WriteHeader(status)
	})
}

// readHook reads Alertmanager's payload, version 4, whose signature must be right.
func readHook(r *http.Request, body []byte) (message, error) {
	mac := hmac.New(sha256.New, []byte(inboxSecret))
	mac.Write(body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); !hmac.Equal([]byte(want), []byte(r.Header.Get("X-Lockkeeper-Signature"))) {
		return message{}, errors.New("the signature is wrong")
	}
	var g struct {
		Version, Status, GroupKey string
		GroupLabels               map[string]string
		Alerts                    []struct{ Status string }
	}
	if err := json.Unmarshal(body, &g); err != nil {
		return message{}, err
	}
	m := message{group: groupName(g.GroupLabels["alertname"], g.GroupLabels["idc"])}
	for _, a := range g.Alerts {
		if a.Status == "firing" {
			m.firing++
		}
	}
	if g.Version != "4" || g.GroupKey == "" || (g.Status == "firing") != (m.firing > 0) {
		return message{}, errors.New("not what Alertmanager sends")
	}
	return m, nil
}

// readCard reads a message with one Adaptive Card.
func readCard(r *http.Request, body []byte) (message, error) {
	var m struct {
		Type        string
		Attachments []struct {
			ContentType string
			Content     struct {
				Type, Version, FallbackText string
				Body                        []any
			}
		}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return message{}, err
	}
	if r.URL.Query().Get("sig") != inboxSecret || len(body) > 28<<10 || m.Type != "message" || len(m.Attachments) != 1 {
		return message{}, errors.New("not one card of 28 KB at most")
	}
	card := m.Attachments[0]
	if card.ContentType != "application/vnd.microsoft.card.adaptive" || card.Content.Type != "AdaptiveCard" || len(card.Content.Body) == 0 {
		return message{}, errors.New("not an Adaptive Card")
	}
	return readTitle(card.Content.FallbackText)
}

// openAlert and closeAlert are Opsgenie's.
func (b *inbox) openAlert(r *http.Request, body []byte) (message, error) {
	var a struct{ Message, Alias, Priority string }
	if err := json.Unmarshal(body, &a); err != nil {
		return message{}, err
	}
	known := slices.Contains([]string{"P1", "P2", "P3", "P4", "P5"}, a.Priority)
	if r.Header.Get("Authorization") != "GenieKey "+inboxSecret || a.Alias == "" || len([]rune(a.Message)) > 130 || !known {
		return message{}, errors.New("not an alert as Opsgenie takes it")
	}
	m, err := readTitle(a.Message)
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.aliases[a.Alias] = m.group
	}
	return m, err
}

func (b *inbox) closeAlert(r *http.Request, _ []byte) (message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	group := b.aliases[r.PathValue("alias")]
	if r.Header.Get("Authorization") != "GenieKey "+inboxSecret || r.URL.Query().Get("identifierType") != "alias" || group == "" {
		return message{}, errors.New("not the end of an alert that is open")
	}
	return message{group: group}, nil
}

// readTitle reads how all channels for people begin: [FIRING:2] NoRouteFound (idc1), or [RESOLVED] ….
func readTitle(title string) (message, error) {
	found := regexp.MustCompile(`^\[(?:RESOLVED|FIRING:([0-9]+))\] (\w+)(?: \(?(idc[0-9]))?`).FindStringSubmatch(title)
	if found == nil {
		return message{}, fmt.Errorf("no title: %q", title)
	}
	m := message{group: groupName(found[2], found[3])}
	_, _ = fmt.Sscan(found[1], &m.firing)
	return m, nil
}

func groupName(alert, idc string) string { return strings.TrimSpace(alert + " " + idc) }
