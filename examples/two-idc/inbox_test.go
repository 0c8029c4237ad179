package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/smtp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func openTestInbox(t *testing.T) *inbox {
	t.Helper()
	b, err := openInbox()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.close()) })
	return b
}

func (b *inbox) post(t *testing.T, path, body string, headers map[string]string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+b.web.Addr().String()+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func signed(body string) map[string]string {
	mac := hmac.New(sha256.New, []byte(inboxSecret))
	mac.Write([]byte(body))
	return map[string]string{"X-Lockkeeper-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil))}
}

// The same group, as each channel tells of it, is the same group.
func TestInboxTakesWhatChannelsSend(t *testing.T) {
	b := openTestInbox(t)
	hook := `{"version":"4","groupKey":"k","status":"firing","groupLabels":{"alertname":"NoRouteFound","idc":"idc1"},"alerts":[{"status":"firing"},{"status":"resolved"}]}`
	require.Equal(t, 200, b.post(t, "/hook", hook, signed(hook)))
	card := `{"type":"message","attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","content":{"type":"AdaptiveCard","version":"1.2","fallbackText":"[FIRING:1] NoRouteFound (idc1)","body":[{}]}}]}`
	require.Equal(t, 202, b.post(t, "/teams?sig="+inboxSecret, card, nil))
	genie := map[string]string{"Authorization": "GenieKey " + inboxSecret}
	require.Equal(t, 202, b.post(t, "/v2/alerts", `{"message":"[FIRING:1] NoRouteFound idc1 (demo ticket)","alias":"a","priority":"P3"}`, genie))
	require.Equal(t, 202, b.post(t, "/v2/alerts/a/close?identifierType=alias", `{}`, genie))
	mail := "To: <oncall@example.com>\r\nMessage-ID: <1@example.com>\r\nSubject: [FIRING:1] NoRouteFound (idc1)\r\n\r\nhello\r\n.\r\n"
	require.NoError(t, smtp.SendMail(b.mail.Addr().String(), nil, "a@example.com", []string{"oncall@example.com"}, []byte(mail)))

	got, err := b.messages()
	require.NoError(t, err)
	var lines []string
	for _, m := range got {
		lines = append(lines, fmt.Sprint(m.channel, ": ", m.group, ", ", m.firing))
	}
	require.Equal(t, []string{
		"webhook: NoRouteFound idc1, 1", "teams: NoRouteFound idc1, 1", "opsgenie: NoRouteFound idc1, 1", "opsgenie: NoRouteFound idc1, 0",
		"mail: NoRouteFound idc1, 1",
	}, lines)
}

func TestInboxRefuses(t *testing.T) {
	b := openTestInbox(t)
	wrong := 0
	for _, bad := range []struct {
		path, body string
		headers    map[string]string
	}{
		{"/hook", `{"version":"4"}`, nil},
		{"/hook", `{"version":"3"}`, signed(`{"version":"3"}`)},
		{"/teams", `{}`, nil},
		{"/teams?sig=" + inboxSecret, `{"type":"message","attachments":[]}`, nil},
		{"/v2/alerts", `{"message":"[FIRING:1] NoRouteFound","alias":"a","priority":"P3"}`, nil},
		{"/v2/alerts/unknown/close?identifierType=alias", `{}`, map[string]string{"Authorization": "GenieKey " + inboxSecret}},
		{"/elsewhere", `{}`, nil},
	} {
		b.post(t, bad.path, bad.body, bad.headers)
		wrong++
		_, err := b.messages()
		require.Error(t, err)
		require.Len(t, b.wrong, wrong, bad.path)
	}
	require.Error(t, smtp.SendMail(b.mail.Addr().String(), nil, "a@example.com", []string{"x\r\n@example.com"}, nil))
}

func TestReadTitle(t *testing.T) {
	for title, want := range map[string]message{
		"[FIRING:2] NoRouteFound (idc1)": {group: "NoRouteFound idc1", firing: 2},
		"[RESOLVED] NoRouteFound (idc2)": {group: "NoRouteFound idc2"},
		"[FIRING:1] PluginDown":          {group: "PluginDown", firing: 1},
	} {
		got, err := readTitle(title)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := readTitle("hello")
	require.Error(t, err)
}
