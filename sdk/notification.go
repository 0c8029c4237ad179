package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// Notification is an open notification plugin. Its funcs may be called at the same time; none is called after Stop.
type Notification struct {
	// Notify tells people of a group of alerts. It returns when the other side has taken it. An error that is not
	// marked Permanent is tried again. The same group may come twice.
	Notify func(ctx context.Context, g *Group) error

	// Health returns nil while the plugin can do its work. Nil: always.
	Health func(ctx context.Context) error

	// Stop closes the plugin, in less than 5 seconds. It is called once, after the last Notify has returned.
	// Nil: there is nothing to close.
	Stop func(ctx context.Context) error
}

func (n *Notification) describe(info *pluginv1.InfoResponse) { info.Kind = "notification" }
func (n *Notification) health(ctx context.Context) error     { return call(ctx, n.Health) }
func (n *Notification) stop(ctx context.Context) error       { return call(ctx, n.Stop) }

// OpenNotification opens a notification plugin. An error that is not marked Permanent is tried again.
type OpenNotification func(ctx context.Context, c Config) (*Notification, error)

// Group is a group of alerts, as Alertmanager's webhook has it (version "4").
type Group struct {
	Receiver          string            `json:"receiver"`
	Status            string            `json:"status"` // "firing" while one of the alerts is, else "resolved"
	Alerts            []GroupAlert      `json:"alerts"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"` // where the gateway's alerts can be seen
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"` // the same for each notification of the group
	TruncatedAlerts   uint64            `json:"truncatedAlerts"`
}

// GroupAlert is one alert of a Group.
type GroupAlert struct {
	Status       string            `json:"status"` // "firing" or "resolved"
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // zero while it fires
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"` // of the labels
}

// Firing are the alerts that fire.
func (g *Group) Firing() []GroupAlert {
	var firing []GroupAlert
	for _, a := range g.Alerts {
		if a.Status == "firing" {
			firing = append(firing, a)
		}
	}
	return firing
}

func parseGroup(raw []byte) (*Group, error) {
	g := new(Group)
	if err := json.Unmarshal(raw, g); err != nil {
		return nil, fmt.Errorf("the group is not what Alertmanager's webhook sends: %w", err)
	}
	return g, nil
}
