package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

var (
	pageLink   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	pageAnchor = regexp.MustCompile(`<a id="([^"]+)">`)
	headline   = regexp.MustCompile(`^#+ (.*)$`)
)

// Each link within the project leads to a file that there is, and to a section that it has.
func TestMarkdownLinks(t *testing.T) {
	pages := markdown(t)
	n := 0
	for file, text := range pages {
		for i, line := range prose(text) {
			for _, match := range pageLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
				link := match[1]
				if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
					continue
				}
				n++
				target, section, _ := strings.Cut(link, "#")
				to := file
				if target != "" {
					to = path.Join(path.Dir(file), target)
				}
				if _, err := os.Stat(filepath.Join("..", to)); err != nil {
					t.Errorf("%s:%d: %s is not there", file, i+1, link)
					continue
				}
				if text, isPage := pages[to]; isPage && section != "" && !anchors(text)[section] {
					t.Errorf("%s:%d: %s has no section #%s", file, i+1, to, section)
				}
			}
		}
	}
	require.Greater(t, n, 200)
	t.Logf("%d links on %d pages", n, len(pages))
}

// prose are the lines of a page; those of blocks of code are empty.
func prose(text string) []string {
	lines := strings.Split(text, "\n")
	inside := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if inside || fence {
			lines[i] = ""
		}
		inside = inside != fence
	}
	return lines
}

// anchors are the names by which links lead into a page: its headlines, as GitHub names them, and those that it gives.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, match := range pageAnchor.FindAllStringSubmatch(text, -1) {
		all[match[1]] = true
	}
	for _, line := range prose(text) {
		if match := headline.FindStringSubmatch(line); match != nil {
			all[strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
					return unicode.ToLower(r)
				}
				return -1
			}, pageLink.ReplaceAllString(match[1], ""))] = true
		}
	}
	return all
}
