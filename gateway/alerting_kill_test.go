package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killsEnv is how many kills the test makes.
const killsEnv = "LOCKKEEPER_TEST_KILLS"

// Whichever process is killed at whatever moment, everybody is told of everything: at most once more for each kill, and then under the same key.
func TestKillsLoseNoNotification(t *testing.T) {
	kills := 9
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	g := newAlertingGateway(t)
	data := "yaml:extensions::file_storage::directory: " + t.TempDir()
	start := func() *process {
		p := startRun(t, append(g.args, "--config", data)...)
		p.expect(t, "Lockkeeper is ready")
		return p
	}
	p := start()
	killed := map[string]int{}
	for round := range kills {
		told := g.send(t, fmt.Sprint("Kill", round))
		time.Sleep(rand.N(200 * time.Millisecond)) // the moment of death is what varies
		victim := []string{"gateway", "chat", "rules"}[rand.N(3)]
		killed[victim]++
		if victim == "gateway" {
			p.signal(t, syscall.SIGKILL)
			p.exit(t)
			p = start()
		} else {
			g.kill(t, victim)
		}
		told()
	}
	g.until(t, `"StorageAnswers"`)
	repeats := 0
	for key, times := range g.keys(t) {
		repeats += times - 1
		if times > 2 && !strings.Contains(key, "StorageAnswers") {
			t.Errorf("told %d times of %s", times, key)
		}
	}
	t.Logf("killed %v: %d groups told of, %d repeats", killed, len(g.keys(t)), repeats)
	if repeats > kills {
		t.Errorf("%d repeats by %d kills", repeats, kills)
	}
}

// send posts an alert again and again, as whoever has one does. What it returns waits until somebody was told.
func (g *alertingGateway) send(t *testing.T, name string) (told func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _, _ = g.try(http.MethodPost, "/api/v2/alerts", operatorToken, fmt.Sprintf(`[{"labels":{"alertname":%q}}]`, name))
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() {
		t.Helper()
		g.until(t, strconv.Quote(name), `"status":"firing"`)
		cancel()
		<-done
	}
}

// keys counts by group what chat was told while it fired.
func (g *alertingGateway) keys(t *testing.T) map[string]int {
	t.Helper()
	told, err := os.ReadFile(g.told)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]int{}
	for line := range strings.Lines(string(told)) {
		var group struct{ Status, GroupKey string }
		if err := json.Unmarshal([]byte(line), &group); err != nil {
			t.Fatal(err)
		}
		if group.Status == "firing" {
			keys[group.GroupKey]++
		}
	}
	return keys
}
