package alerting

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"go.yaml.in/yaml/v3"
	"golang.org/x/time/rate"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	// suppressedAlert is the name of the alert that says that a channel was told less than there was to tell.
	suppressedAlert = "NotificationsSuppressed"

	// suppressedQuiet is how long nothing must have been suppressed before that alert is over: longer than the usual group interval, at which
	// what was suppressed has its turn again.
	suppressedQuiet = 10 * time.Minute
)

// rateLimit is so many notifications in a time, as 30/m; the zero value is any number.
type rateLimit struct {
	text  string
	most  int
	every time.Duration
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (l *rateLimit) UnmarshalYAML(node *yaml.Node) error {
	most, unit, _ := strings.Cut(node.Value, "/")
	n, err := strconv.Atoi(most)
	every, ok := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if err != nil || n <= 0 || !ok {
		return fmt.Errorf("line %d: plugin_configs: rate_limit: %q is not like 30/m: a number of notifications a second, minute or hour (s, m, h)",
			node.Line, node.Value)
	}
	*l = rateLimit{node.Value, n, every}
	return nil
}

// limiter holds a channel to its rate limit, and remembers how much it was not told.
type limiter struct {
	limit  rateLimit
	tokens *rate.Limiter // nil: no limit

	mu          sync.Mutex
	suppressed  int
	since, last time.Time
}

func newLimiter(l rateLimit) *limiter {
	if l.most == 0 {
		return &limiter{}
	}
	return &limiter{limit: l, tokens: rate.NewLimiter(rate.Every(l.every/time.Duration(l.most)), l.most)}
}

// admit is an error when the channel has been told enough. That there is more is always told.
func (l *limiter) admit(alerts []*alert.Alert) error {
	if l.tokens == nil || alerts[0].Name() == suppressedAlert || l.tokens.Allow() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = time.Now(); l.suppressed == 0 {
		l.since = l.last
	}
	l.suppressed++
	return fmt.Errorf("more than %s notifications: the group has its turn again at the next group interval", l.limit.text)
}

// alert says how much was suppressed of late; nil: nothing.
func (l *limiter) alert(receiver, plugin string) *sdk.Alert {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) > suppressedQuiet {
		l.suppressed = 0
	}
	if l.suppressed == 0 {
		return nil
	}
	return &sdk.Alert{
		Labels: map[string]string{"alertname": suppressedAlert, "receiver": receiver, "plugin": plugin, "severity": "ticket", "owner": "platform"},
		Annotations: map[string]string{
			"summary":     fmt.Sprintf("%d notifications suppressed", l.suppressed),
			"description": fmt.Sprintf("The receiver %s is told of no more than %s by %s. All alerts are on the console.", receiver, l.limit.text, plugin),
		},
		StartsAt: l.since,
	}
}
