package main

import (
	"context"
	_ "embed"
	"errors"
	"strings"
	"syscall"
)

var (
	//go:embed story/lockkeeper.yaml
	storyConfig []byte
	//go:embed story/rules.yaml
	storyRules []byte
)

const (
	storyMachine = "m2"                    // dies first
	storyIngress = "envoy-idc1-ingress-v1" // dies then
)

// A chapter is something that happens, and that the page has to tell.
type chapter struct {
	name, what string
	happen     func(s *storyStage) error
}

func chapters() []chapter {
	return []chapter{
		{"telemetry", "Envoys report their traffic", func(*storyStage) error { return nil }},
		{"alert", "in IDC 2 every third request of frontend to backend v2 finds its port closed", func(s *storyStage) error {
			s.broken.Store(true)
			return nil
		}},
		{"machine", "machine " + storyMachine + " of IDC 1 is dead", func(s *storyStage) error { return s.processes.end(storyMachine, syscall.SIGKILL) }},
		{"idc", "the ingress of IDC 1 is dead", func(s *storyStage) error { return s.processes.end(storyIngress, syscall.SIGKILL) }},
		{"recovery", "the machine and the ingress live again, and the port is open", func(s *storyStage) error {
			s.broken.Store(false)
			return errors.Join(s.processes.again(storyMachine), s.processes.again(storyIngress))
		}},
	}
}

// storyScene runs the scene "story": one thing after the other goes wrong, and then all is mended. Whoever looks at the page is told.
func storyScene(ctx context.Context, o options) (err error) {
	b, err := openInbox()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	s := &storyStage{options: o, inbox: b}
	defer func() { err = errors.Join(err, s.close()) }()
	if ctx, err = s.open(ctx); err != nil {
		return err
	}
	for _, c := range chapters() {
		s.say("%s: %s", c.name, c.what)
		if err := c.happen(s); err != nil {
			return err
		}
		if s.page == nil {
			if err := s.linger(ctx); err != nil {
				return err
			}
			continue
		}
		answer, err := s.page.told(ctx, c.name)
		if err != nil {
			return err
		}
		s.claim(strings.HasPrefix(answer, "ok"), "the page tells it: %s", answer)
	}
	return s.held()
}
