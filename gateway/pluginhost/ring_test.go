package pluginhost

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"
)

func messages(lines []line) []string {
	list := []string{}
	for _, l := range lines {
		list = append(list, l.Message)
	}
	return list
}

func TestRingKeepsTheLastLines(t *testing.T) {
	var r ring
	require.Empty(t, r.tail(10))
	for i := range ringLines + 5 {
		r.add(line{Message: strconv.Itoa(i)})
	}
	require.Equal(t, []string{"1003", "1004"}, messages(r.tail(2)))
	require.Empty(t, r.tail(0))
	require.Empty(t, r.tail(-1))
	all := r.tail(1_000_000)
	require.Len(t, all, ringLines)
	require.Equal(t, "5", all[0].Message)
}

func TestRingIsBoundedInBytes(t *testing.T) {
	var r ring
	for i := range 10 {
		r.add(line{Message: strconv.Itoa(i), size: ringBytes / 4})
	}
	require.Equal(t, []string{"6", "7", "8", "9"}, messages(r.tail(10)))
	r.add(line{Message: "huge", size: 2 * ringBytes})
	require.Equal(t, []string{"huge"}, messages(r.tail(10)))
	r.add(line{Message: "small", size: 1})
	require.Equal(t, []string{"small"}, messages(r.tail(10)))
}

func TestRingSubscription(t *testing.T) {
	var r ring
	r.add(line{Message: "before"})
	last, live, end := r.subscribe(10)
	require.Equal(t, []string{"before"}, messages(last))
	r.add(line{Message: "after"})
	require.Equal(t, "after", (<-live).Message)
	end()
	end()
	r.add(line{Message: "late"})
	_, open := <-live
	require.False(t, open)

	// one that reads nothing
	_, live, end = r.subscribe(0)
	defer end()
	for range ringLines + 1 {
		r.add(line{})
	}
	count := 0
	for range live {
		count++
	}
	require.Equal(t, ringLines, count)
	require.Empty(t, r.subscribers)
}

func TestLineAsJSON(t *testing.T) {
	text, err := json.Marshal(line{Level: zapcore.WarnLevel, Message: "x", Fields: map[string]any{"a": 1}})
	require.NoError(t, err)
	require.JSONEq(t, `{"time":"0001-01-01T00:00:00Z","level":"warn","message":"x","fields":{"a":1}}`, string(text))
}
