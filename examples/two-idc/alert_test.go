package main

import (
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scene waits for what the rules say.
func TestIncidentsAreThoseOfTheRules(t *testing.T) {
	rules, err := os.ReadFile("../../deploy/rules/flags.yaml")
	require.NoError(t, err)
	for _, i := range incidents() {
		found := regexp.MustCompile(`(?s)- alert: ` + i.alert + `\n.*?flag="(\w+)".*?\n\s+for: (\w+)\n`).FindSubmatch(rules)
		require.NotNil(t, found, i.alert)
		hold, err := time.ParseDuration(string(found[2]))
		require.NoError(t, err)
		require.Equal(t, []any{i.flag, i.hold}, []any{string(found[1]), hold}, i.alert)
		require.True(t, slices.ContainsFunc(failedTrials(), func(f trial) bool { return f.name == i.trial }), i.trial)
	}
}

func TestGroupWaitIsThatOfTheConfiguration(t *testing.T) {
	require.Contains(t, string(alertmanagerConfig), "group_wait: "+groupWait.String())
}

func TestWhatIsExpectedOfNotifications(t *testing.T) {
	begin, end, half := message{firing: 2}, message{}, message{firing: 1}
	for _, c := range []struct {
		name  string
		check func([]message) error
		good  []message
		bad   []message
	}{
		{"once", toldOnce, []message{begin}, []message{begin, begin}},
		{"once, of both", toldOnce, []message{begin}, []message{half}},
		{"over", over, []message{begin, half, end}, []message{begin, half}},
		{"firing", firing, []message{begin, half}, []message{begin, end}},
		{"once, and over", toldAndOver, []message{begin, end}, []message{begin, half, end}},
	} {
		require.NoError(t, c.check(c.good), c.name)
		require.Error(t, c.check(c.bad), c.name)
	}
}
