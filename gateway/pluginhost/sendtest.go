package pluginhost

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"os"
	"time"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// testDeadline is how long a plugin may take to send a test notification.
const testDeadline = 10 * time.Second

// sendTest serves POST /api/v1/plugins/{name}/test: it sends a test notification and says how long that took, or why it failed.
func (h *host) sendTest(w http.ResponseWriter, r *http.Request, who string) {
	p := h.asked(w, r)
	if p == nil {
		return
	}
	if p.kind != "notification" {
		refuse(w, http.StatusBadRequest, fmt.Errorf("plugin %s is of kind %s: only a notification plugin can send a test", p.name, p.kind))
		return
	}
	group, err := json.Marshal(testGroup(p.name, who, time.Now()))
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), testDeadline)
	defer cancel()
	began := time.Now()
	_, err = pluginv1.NewNotificationClient(conn{process: p}).Notify(ctx, &pluginv1.NotifyRequest{Group: group})
	switch {
	case err == nil:
		answer(w, http.StatusOK, map[string]int64{"took_ms": time.Since(began).Milliseconds()})
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		refuse(w, http.StatusBadGateway, fmt.Errorf("plugin %s did not answer within %s", p.name, testDeadline))
	default:
		refuse(w, http.StatusBadGateway, plain(err))
	}
}

// testGroup is one alert that fires, for the receiver of this name.
func testGroup(receiver, who string, now time.Time) *sdk.Group {
	host, _ := os.Hostname() // else there is nothing better to say
	labels := map[string]string{"alertname": "LockkeeperTest", "severity": "info", "gateway": cmp.Or(host, "unknown")}
	annotations := map[string]string{"summary": "This is a test notification of Lockkeeper, sent by " + who}
	fingerprint := fnv.New64a()
	_ = json.NewEncoder(fingerprint).Encode(labels) // its keys are sorted
	return &sdk.Group{
		Version: "4", GroupKey: `{}:{alertname="LockkeeperTest"}`, Receiver: receiver, Status: "firing",
		GroupLabels: map[string]string{"alertname": "LockkeeperTest"}, CommonLabels: labels, CommonAnnotations: annotations,
		Alerts: []sdk.GroupAlert{{
			Status: "firing", Labels: labels, Annotations: annotations, StartsAt: now.UTC(),
			Fingerprint: fmt.Sprintf("%016x", fingerprint.Sum64()),
		}},
	}
}
