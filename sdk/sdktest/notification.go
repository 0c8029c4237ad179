package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

func notification() kind {
	good := func(name string, group func() sdk.Group) check {
		return check{name: name, run: func(ctx context.Context, s *session) error { return deliverGroup(ctx, s, group()) }}
	}
	return kind{call: "Notify", one: notifyOne, checks: []check{
		good("a group that fires", func() sdk.Group { return groupOf("conformance", 2) }),
		good("a group that is resolved", resolvedGroup),
		good("odd strings", oddGroup),
		good("2 MiB of alerts", largeGroup),
		{name: "the same group twice", run: checkNotifyTwice},
		{name: "several at a time", run: checkNotifyTogether},
		{name: "keys of a newer gateway", run: checkNotifyNewer},
		{name: "a group without alerts", run: checkNotifyNothing},
		{name: "garbage", run: checkNotifyGarbage},
		{name: "a deadline that passes", run: checkDeadline},
	}}
}

func notify(ctx context.Context, conn grpc.ClientConnInterface, group []byte) error {
	_, err := pluginv1.NewNotificationClient(conn).Notify(ctx, &pluginv1.NotifyRequest{Group: group})
	return err
}

func notifyOne(ctx context.Context, _ *session, conn grpc.ClientConnInterface) error {
	group, err := json.Marshal(groupOf("conformance", 1))
	if err != nil {
		return err
	}
	return notify(ctx, conn, group)
}

func deliverGroup(ctx context.Context, s *session, group sdk.Group) error {
	raw, err := json.Marshal(group)
	if err != nil {
		return err
	}
	return deliverRaw(ctx, s, raw)
}

func deliverRaw(ctx context.Context, s *session, group []byte) error {
	err := deliver(ctx, func(ctx context.Context) error { return notify(ctx, s.life.conn, group) })
	if err != nil {
		return fmt.Errorf("%s, want OK: people are not told otherwise", told(err))
	}
	return nil
}

func checkNotifyTwice(ctx context.Context, s *session) error {
	group := groupOf("conformance twice", 1)
	for range 2 {
		if err := deliverGroup(ctx, s, group); err != nil {
			return err
		}
	}
	return nil
}

func checkNotifyTogether(ctx context.Context, s *session) error {
	err := together(callers, func() error { return deliverGroup(ctx, s, groupOf("conformance together", 1)) })
	return errors.Join(err, healthy(ctx, s.life.conn))
}

// checkNotifyNewer sends what a later version of Alertmanager's webhook may have.
func checkNotifyNewer(ctx context.Context, s *session) error {
	raw, err := json.Marshal(groupOf("conformance newer", 1))
	if err != nil {
		return err
	}
	return deliverRaw(ctx, s, []byte(strings.Replace(string(raw), "{", `{"newer":{"deep":[1]},`, 1)))
}

// checkNotifyNothing sends what no gateway does: any answer will do but a crash.
func checkNotifyNothing(ctx context.Context, s *session) error {
	raw, err := json.Marshal(groupOf("conformance nothing", 0))
	if err != nil {
		return err
	}
	err = within(ctx, answerWithin, func(ctx context.Context) error { return notify(ctx, s.life.conn, raw) })
	if status.Code(err) == codes.Internal || status.Code(err) == codes.Unknown || status.Code(err) == codes.DeadlineExceeded {
		return fmt.Errorf("%s, want OK or INVALID_ARGUMENT", told(err))
	}
	return healthy(ctx, s.life.conn)
}

func checkNotifyGarbage(ctx context.Context, s *session) error {
	var wrong []error
	for _, raw := range []string{"", "[]", "{", "not JSON \xff\x00", `{"alerts":[1]}`} {
		err := within(ctx, answerWithin, func(ctx context.Context) error { return notify(ctx, s.life.conn, []byte(raw)) })
		if status.Code(err) != codes.InvalidArgument {
			wrong = append(wrong, fmt.Errorf("the group %q: %s, want INVALID_ARGUMENT: a retry would not help", raw, told(err)))
		}
	}
	return errors.Join(append(wrong, healthy(ctx, s.life.conn))...)
}

// groupOf is a group of so many alerts that fire.
func groupOf(name string, alerts int) sdk.Group {
	group := sdk.Group{
		Receiver: "conformance", Status: "firing", Alerts: []sdk.GroupAlert{},
		GroupLabels:       map[string]string{"alertname": name},
		CommonLabels:      map[string]string{"alertname": name, "severity": "info"},
		CommonAnnotations: map[string]string{"summary": "A test of the plugin that sent this"},
		ExternalURL:       "http://localhost:7070",
		Version:           "4",
		GroupKey:          fmt.Sprintf("{}:{alertname=%q}", name),
	}
	for i := range alerts {
		group.Alerts = append(group.Alerts, sdk.GroupAlert{
			Status:       "firing",
			Labels:       map[string]string{"alertname": name, "severity": "info", "number": fmt.Sprint(i)},
			Annotations:  map[string]string{"summary": "A test of the plugin that sent this"},
			StartsAt:     time.Now().Add(-time.Minute),
			GeneratorURL: "http://localhost:7070/graph",
			Fingerprint:  fmt.Sprintf("%016x", i),
		})
	}
	return group
}

func resolvedGroup() sdk.Group {
	group := groupOf("conformance", 2)
	group.Status = "resolved"
	for i := range group.Alerts {
		group.Alerts[i].Status, group.Alerts[i].EndsAt = "resolved", time.Now()
	}
	return group
}

func oddGroup() sdk.Group {
	texts := append(odd(), "<b>html</b> & <script>alert(1)</script>", "{{ .template }} %s ${x}", "\x1b[31mred\x1b[0m \x07\r\n\t", "\u202eright to left", strings.Repeat("水", 64<<10))
	group := groupOf("conformance odd", len(texts))
	for i, text := range texts {
		group.Alerts[i].Labels["odd"], group.Alerts[i].Annotations["summary"], group.Alerts[i].Annotations["description"] = text, text, text
	}
	group.CommonAnnotations["summary"], group.GroupLabels["odd"] = texts[len(texts)-2], "<\x00>"
	return group
}

// largeGroup is what a plugin must tell people of in short.
func largeGroup() sdk.Group {
	const alertBytes = 2 << 10
	group := groupOf("conformance large", largeBytes/alertBytes)
	for i := range group.Alerts {
		group.Alerts[i].Annotations["description"] = strings.Repeat("long ", alertBytes/5)
	}
	return group
}
