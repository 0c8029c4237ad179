package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	amwebhook "github.com/prometheus/alertmanager/notify/webhook"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "s3cret-of-the-webhook"

func TestChannel(t *testing.T) {
	channeltest.Check(t, channeltest.Channel{
		Open: open,
		Config: func(url string) map[string]any {
			return map[string]any{"url": url + "/hook/t0ken-in-the-path", "secret": secret, "http_config": map[string]any{"authorization": map[string]any{"credentials": "b3arer"}}}
		},
		Accept:  accept,
		Secrets: []string{secret, "t0ken-in-the-path", "b3arer"},
		Wrong: map[string]func(map[string]any){
			"url: want a URL": func(config map[string]any) { config["url"] = "hooks.example.com/t0ken-in-the-path" },
		},
	})
}

func TestExampleOfAllChannels(t *testing.T) { channeltest.Example(t, "../README.md", open) }

// accept reads the body into Alertmanager's own type and checks the signature as a receiver would.
func accept(r *http.Request, body []byte) error {
	var message amwebhook.Message
	if err := json.Unmarshal(body, &message); err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	switch {
	case message.Version != "4" || message.GroupKey == "" || message.Data == nil:
		return fmt.Errorf("not Alertmanager's payload: %+v", message)
	case r.Header.Get("X-Lockkeeper-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)):
		return errors.New("the signature is wrong")
	case r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer b3arer":
		return errors.New("the head is wrong")
	}
	return nil
}
