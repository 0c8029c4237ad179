package real

import (
	"context"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const aptDig = "apt-get install bind9-dnsutils"

// dig asks by dig and returns what it prints, and the words that sum it up: the status, the flags, the types of the answers, authority=TYPE for
// those of the authority section, opcode=N, edns0 for an OPT record of version 0 and opt for one of any, do, mbz for reserved bits, option=N
// for EDNS options, empty for no record in any section but OPT, silent for no answer at all, by-tcp for one by TCP, refused-transfer.
func dig(t *testing.T, server netip.AddrPort, args ...string) (words []string, printed string) {
	t.Helper()
	path := tool(t, "dig", aptDig, "dig")
	args = append([]string{"-r", "@" + server.Addr().String(), "-p", strconv.Itoa(int(server.Port())), "+tries=2", "+time=3"}, args...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatalf("dig %q: %v", args, err)
	}
	return digWords(string(out)), string(out)
}

func digWords(out string) (words []string) {
	add := func(word string) { words = append(words, word) }
	if strings.Contains(out, "no servers could be reached") {
		return []string{"silent"}
	}
	if strings.Contains(out, "; Transfer failed.") {
		return []string{"refused-transfer"}
	}
	if strings.Contains(out, "(TCP)") {
		add("by-tcp")
	}
	for _, match := range regexp.MustCompile(`opcode: (\w+), status: (\w+)`).FindAllStringSubmatch(out, -1) {
		add("opcode=" + strings.TrimPrefix(match[1], "RESERVED"))
		add(match[2])
	}
	if match := regexp.MustCompile(`(?m)^;; flags:([ a-z]*);`).FindStringSubmatch(out); match != nil {
		words = append(words, strings.Fields(match[1])...)
	}
	if strings.Contains(out, "MBZ") {
		add("mbz")
	}
	if match := regexp.MustCompile(`(?m)^; EDNS: version: (\d+), flags:([ a-z]*);`).FindStringSubmatch(out); match != nil {
		words = append(words, "opt", "edns"+match[1])
		words = append(words, strings.Fields(match[2])...)
	}
	for _, match := range regexp.MustCompile(`(?m)^; OPT=(\d+)`).FindAllStringSubmatch(out, -1) {
		add("option=" + match[1])
	}
	records := digRecords(out)
	if len(records) == 0 {
		add("empty")
	}
	return append(words, records...)
}

// digRecords are the types in the answer section, and those in the others with the section's name before them.
func digRecords(out string) (words []string) {
	prefix := ""
	inside := false
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, ";; "); ok {
			section, isSection := strings.CutSuffix(name, " SECTION:")
			inside = isSection && section != "QUESTION"
			prefix = strings.ToLower(section) + "="
			if section == "ANSWER" {
				prefix = ""
			}
			continue
		}
		if fields := strings.Fields(line); inside && len(fields) > 4 && line[0] != ';' {
			words = append(words, prefix+fields[3])
		}
	}
	return words
}

// wants compares words with those wanted: all of them, and none of those that start with a "!".
func wants(t *testing.T, want string, words []string, printed string) {
	t.Helper()
	for _, word := range strings.Fields(want) {
		word, not := strings.CutPrefix(word, "!")
		if slices.Contains(words, word) == not {
			t.Errorf("want %s, got %s\n%s", want, strings.Join(words, " "), printed)
			return
		}
	}
}
