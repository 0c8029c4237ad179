package sdk

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// What Alertmanager 0.28 sends to a webhook.
const webhook = `{"receiver":"team-a","status":"firing","alerts":[
 {"status":"firing","labels":{"alertname":"HighErrors","idc":"idc1"},"annotations":{"summary":"many"},"startsAt":"2026-01-02T03:04:05.678Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://x/graph","fingerprint":"b1"},
 {"status":"resolved","labels":{"alertname":"HighErrors","idc":"idc2"},"annotations":{},"startsAt":"2026-01-02T03:04:05Z","endsAt":"2026-01-02T03:05:05Z","generatorURL":"","fingerprint":"b2"}],
 "groupLabels":{"alertname":"HighErrors"},"commonLabels":{"alertname":"HighErrors"},"commonAnnotations":{},"externalURL":"http://lockkeeper","version":"4","groupKey":"{}:{alertname=\"HighErrors\"}","truncatedAlerts":0,"new":1}`

func TestNotify(t *testing.T) {
	var got *Group
	var fail error
	conn := registered(t, RegisterNotification, func(context.Context, Config) (*Notification, error) {
		return &Notification{Notify: func(_ context.Context, g *Group) error {
			got = g
			return fail
		}}, nil
	})
	client := pluginv1.NewNotificationClient(conn)
	if _, err := client.Notify(t.Context(), &pluginv1.NotifyRequest{Group: []byte(webhook)}); err != nil {
		t.Fatal(err)
	}
	firing := got.Firing()
	if got.GroupKey != `{}:{alertname="HighErrors"}` || len(got.Alerts) != 2 || len(firing) != 1 ||
		firing[0].Labels["idc"] != "idc1" || !firing[0].EndsAt.IsZero() || !firing[0].StartsAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)) {
		t.Errorf("%+v", got)
	}
	f := func(what string, group string, err error, want codes.Code) {
		t.Helper()
		fail = err
		if _, err := client.Notify(t.Context(), &pluginv1.NotifyRequest{Group: []byte(group)}); status.Code(err) != want {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	f("an error", webhook, errors.New("no route"), codes.Unavailable)
	f("an error that stays", webhook, Permanent(errors.New("no such channel")), codes.InvalidArgument)
	f("not a group", "[]", nil, codes.InvalidArgument)
	f("nothing", "", nil, codes.InvalidArgument)
}

// FuzzGroup: no input makes parseGroup panic, and what it takes is an object.
func FuzzGroup(f *testing.F) {
	f.Add([]byte(webhook))
	f.Add([]byte(`{"alerts":[{"startsAt":"yesterday"}]}`))
	f.Add([]byte(`{"alerts":[null],"groupLabels":null,"truncatedAlerts":-1}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := parseGroup(raw)
		if err == nil && len(g.Firing()) > len(g.Alerts) {
			t.Errorf("%d of %d alerts fire", len(g.Firing()), len(g.Alerts))
		}
	})
}
