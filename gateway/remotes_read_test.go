package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Events of several gateways are shown in the order of their times. Followed, they are one stream, which outlives that of one of them.
func TestEventsOfSeveralGateways(t *testing.T) {
	more := make(chan string)
	begin := func(seconds ...int) *front {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/v1/events" {
				http.NotFound(w, r)
				return
			}
			for _, s := range seconds {
				fmt.Fprintf(w, `{"at":"2026-01-01T00:00:%02dZ","kind":"hold","what":"event %d"}`+"\n", s, s)
			}
			for r.URL.Query().Has("follow") && len(seconds) > 1 { // the other one ends
				w.(http.Flusher).Flush()
				select {
				case line := <-more:
					fmt.Fprintln(w, line)
				case <-r.Context().Done():
					return
				}
			}
		}))
		t.Cleanup(server.Close)
		return &front{url: server.URL}
	}
	stays, ends := begin(1, 3), begin(2)
	_, out, _ := call(t, "failover", "events", "-n", "2", "--url", stays.url, "--url", ends.url)
	require.Regexp(t, "^.*event 2\n.*event 3\n$", out)

	read, write := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan int, 1)
	var problems bytes.Buffer
	go func() {
		ended <- execute(ctx, []string{"failover", "events", "-f", "--url", stays.url, "--url", ends.url}, write, &problems)
		_ = write.Close()
	}()
	lines := bufio.NewScanner(read)
	seen := map[string]bool{}
	next := func() {
		t.Helper()
		require.True(t, lines.Scan())
		from, _, _ := strings.Cut(lines.Text(), ": ")
		seen[from+lines.Text()[strings.LastIndexByte(lines.Text(), ' '):]] = true
	}
	next()
	next()
	next()
	one, two := strings.TrimPrefix(stays.url, "http://"), strings.TrimPrefix(ends.url, "http://")
	require.Equal(t, map[string]bool{one + " 1": true, two + " 2": true, one + " 3": true}, seen)
	more <- `{"at":"2026-01-01T00:00:04Z","kind":"hold","what":"event 4"}`
	next()
	require.True(t, seen[one+" 4"])
	cancel()
	require.False(t, lines.Scan())
	require.Equal(t, 1, <-ended)
	require.Contains(t, problems.String(), "warning: the gateway at "+ends.url+" has ended the events")
}

// Who is not of the opinion of most is told; without such an opinion all are.
func TestDisagree(t *testing.T) {
	a, b, c := fact{"has a", "in"}, fact{"calls b", ""}, fact{"is at version", ""}
	f := func(want [][]string, facts ...map[fact]string) {
		t.Helper()
		require.Equal(t, want, disagree(facts))
	}
	f(nil)
	f(nil, nil, map[fact]string{a: "out"})
	f(nil, map[fact]string{a: "out", b: "dead"}, map[fact]string{a: "out"}) // who calls it nothing has no say
	f([][]string{nil, nil, {"has a out (others: in)"}}, map[fact]string{}, map[fact]string{}, map[fact]string{a: "out"})
	f([][]string{nil, {"has a in (others: out)"}, nil}, map[fact]string{a: "out"}, map[fact]string{}, map[fact]string{a: "out"})
	f([][]string{{"has a in (others: out)"}, {"has a out (others: in)"}, nil}, map[fact]string{}, map[fact]string{a: "out"}, nil)
	f([][]string{{"is at version 1 (others: 2 or 3)"}, {"is at version 2 (others: 1 or 3)"}, {"is at version 3 (others: 1 or 2)"}},
		map[fact]string{c: "1"}, map[fact]string{c: "2"}, map[fact]string{c: "3"})
	require.Equal(t, []int{1, 2, 0}, byAgreement([][]string{{"x", "y"}, nil, {"z"}}, 3))
	require.Equal(t, "d, d, d, d, d, d, d, d, d, d, d, d, and 2 more", few(slices.Repeat([]string{"d"}, 14)))
}
