package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	bySMS  = "sms"
	byCall = "call"

	smsRunes    = 459 // three parts of an SMS, as long as its letters are those of GSM
	spokenRunes = 600
)

// phones tells each of its phones of groups. It may be used by several at a time.
type phones struct {
	settings  settings
	client    *channel.Client
	delivered channel.Delivered
}

// notify tells those who do not know yet. Nobody is called because something is over.
func (p *phones) notify(ctx context.Context, g *sdk.Group) error {
	var recipients []string
	for _, by := range p.settings.By {
		for _, to := range p.settings.To {
			if by == bySMS || g.Status != "resolved" {
				recipients = append(recipients, by+" "+to)
			}
		}
	}
	return p.delivered.Each(channel.Key(g), recipients, func(recipient string) error {
		by, to, _ := strings.Cut(recipient, " ")
		request, err := p.settings.request(ctx, g, by, to)
		if err != nil {
			return err
		}
		if _, err = p.client.Send(keyOf(g, recipient), request); err != nil {
			return fmt.Errorf("to[%d] by %s: %w", slices.Index(p.settings.To, to), by, err)
		}
		return nil
	})
}

// keyOf is channel.Key for one recipient.
func keyOf(g *sdk.Group, recipient string) string {
	one := *g
	one.Receiver += " " + recipient
	return channel.Key(&one)
}

// sms is the group in three parts of a message. An ellipsis would have it sent in an alphabet that has less room.
func sms(g *sdk.Group) string { return strings.ReplaceAll(channel.Plain(g, smsRunes), "…", "~") }

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
