package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	bySMS  = "sms"
	byCall = "call"

	smsRunes    = 459 // three parts of an SMS, as long as its letters are those of GSM
	spokenRunes = 600
	toldPhones  = 1000
)

// phones tells each of its phones of groups. It may be used by several at a time.
type phones struct {
	settings settings
	client   *channel.Client

	mu   sync.Mutex
	told map[string]bool // by key: who knows already of groups that others are still to be told of
}

// notify tells those who do not know yet. As long as one of them is worth another try, the others are remembered, so that it wakes nobody twice.
func (p *phones) notify(ctx context.Context, g *sdk.Group) error {
	var keys, never []string
	var again error
	for _, by := range p.settings.By {
		if by == byCall && g.Status == "resolved" {
			continue // nobody is called because something is over
		}
		for i, to := range p.settings.To {
			key := keyOf(g, by, to)
			keys = append(keys, key)
			err := p.tell(ctx, g, key, by, to)
			switch {
			case err == nil:
			case sdk.IsPermanent(err):
				never = append(never, fmt.Sprintf("to[%d] by %s: %v", i, by, err))
			default:
				again = fmt.Errorf("to[%d] by %s: %w", i, by, err) // one only: its Retry-After is what the gateway reads
			}
		}
	}
	if again != nil {
		return again
	}
	p.forget(keys)
	if len(never) > 0 {
		return sdk.Permanent(errors.New(strings.Join(never, "; ")))
	}
	return nil
}

func (p *phones) tell(ctx context.Context, g *sdk.Group, key, by, to string) error {
	if p.knows(key) {
		return nil
	}
	request, err := p.settings.request(ctx, g, by, to)
	if err != nil {
		return err
	}
	if _, err := p.client.Send(key, request); err != nil {
		return err
	}
	p.remember(key)
	return nil
}

// keyOf is channel.Key for one phone.
func keyOf(g *sdk.Group, by, to string) string {
	one := *g
	one.Receiver = strings.Join([]string{g.Receiver, by, to}, " ")
	return channel.Key(&one)
}

func (p *phones) knows(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told[key]
}

// remember forgets all when it is too much: then somebody is told twice.
func (p *phones) remember(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.told) >= toldPhones {
		clear(p.told)
	}
	p.told[key] = true
}

func (p *phones) forget(keys []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		delete(p.told, key)
	}
}

// spoken is what a call says, twice. Only what can be said is left of the text, so that nothing in it is markup.
func spoken(g *sdk.Group) string {
	said := *g
	said.ExternalURL = ""
	text := strings.ReplaceAll(channel.Plain(&said, spokenRunes), "\n", ". ")
	text = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || strings.ContainsRune(".,%-", r) {
			return r
		}
		return ' '
	}, text)
	return `<Response><Say loop="2">` + "Lockkeeper. " + strings.Join(strings.Fields(text), " ") + `</Say></Response>`
}
