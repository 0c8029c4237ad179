package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	pageScript  = "gateway/console/page/e2e/story.mjs"
	pageModules = ".cache/browser/node_modules/.package-lock.json"
)

// A page is the console's, in a real browser, and a script that looks at it.
type page struct {
	command *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Scanner
	screens string
}

// openPage starts the browser. Without one, who runs the scene is asked to look: then it returns nil.
func (s *storyStage) openPage(ctx context.Context) (*page, error) {
	if err := lacksBrowser(); err != nil {
		if strings.Contains(","+os.Getenv("LOCKKEEPER_REQUIRE")+",", ",browser,") || s.screens != "" {
			return nil, err
		}
		s.say("%v. So look yourself: %s/", err, consoleURL)
		return nil, nil
	}
	p := &page{command: exec.CommandContext(ctx, "node", pageScript, consoleURL+"/", s.screens), screens: s.screens}
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) } // which ends the browser
	p.command.WaitDelay = 10 * time.Second
	p.command.Stderr = os.Stderr
	var err error
	if p.ask, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewScanner(out)
	return p, p.command.Start()
}

func lacksBrowser() error {
	for _, tool := range []string{"node", "chromium"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("no browser looks at the page: %w", err)
		}
	}
	if _, err := os.Stat(pageModules); err != nil {
		return fmt.Errorf("no browser looks at the page: %w: make browser", err)
	}
	return nil
}

// told waits until the page tells of a chapter. The answer begins with ok, or is what the page does not tell.
func (p *page) told(ctx context.Context, chapter string) (answer string, err error) {
	if _, err := io.WriteString(p.ask, chapter+"\n"); err != nil {
		return "", err
	}
	if !p.answers.Scan() {
		return "", errors.Join(context.Cause(ctx), p.answers.Err(), errors.New("the browser ended"))
	}
	return p.answers.Text(), nil
}

func (p *page) close() error {
	if p == nil {
		return nil
	}
	return errors.Join(p.ask.Close(), p.command.Wait(), shrink(p.screens))
}
