package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// HandleChange adds a handler of requests that change something, which Handle is not for: only a bearer of a token, or the holder of a
// client certificate, with at least this role (viewer < operator < admin) gets to it. Who is that token's or certificate's name. Each request that gets there is a line in the log;
// others are answered with what they lack, and counted.
func (c *console) HandleChange(role, pattern string, handler func(w http.ResponseWriter, r *http.Request, who string)) {
	c.handle(role, pattern, func(w http.ResponseWriter, r *http.Request, who *bearer) {
		answer := &answer{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			// Warn, since it must be seen with the default configuration, too.
			c.set.Logger.Warn("change", zap.String("who", who.name), zap.String("role", who.role),
				zap.String("what", r.Method+" "+r.URL.Path), zap.String("from", r.RemoteAddr), zap.Int("status", answer.code))
		}()
		handler(answer, r, who.name)
	})
}

// HandlePush is HandleChange without the line in the log: for what programs send all the time, such as alerts, and for whoever keeps an audit of
// its own, with who did what.
func (c *console) HandlePush(role, pattern string, handler func(w http.ResponseWriter, r *http.Request, who string)) {
	c.handle(role, pattern, func(w http.ResponseWriter, r *http.Request, who *bearer) { handler(w, r, who.name) })
}

func (c *console) handle(role, pattern string, handler func(w http.ResponseWriter, r *http.Request, who *bearer)) {
	if rank(role) < 0 {
		panic(fmt.Sprintf("console: %q is no role", role))
	}
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if who := c.admit(w, r, role); who != nil {
			handler(w, r, who)
		}
	})
}

// admit answers those who may not change anything; for them it returns nil.
func (c *console) admit(w http.ResponseWriter, r *http.Request, role string) *bearer {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		c.refuse(w, http.StatusForbidden, "origin", "a page of another site may not change anything here")
		return nil
	}
	who, no := c.identify(r)
	if no == nil && rank(who.role) < rank(role) {
		no = &denial{http.StatusForbidden, "role", fmt.Sprintf("this needs the role %s: %q has the role %s", role, who.name, who.role), ""}
	}
	if no != nil {
		c.deny(w, no)
		return nil
	}
	return who
}

// denial is why somebody may not change anything.
type denial struct {
	code         int
	reason, text string
	authenticate string // how to, if that would help
}

// identify says who sends a request: by the token, or where there is none, by the client certificate.
func (c *console) identify(r *http.Request) (who *bearer, no *denial) {
	if len(c.bearers) == 0 && len(c.cfg.Certificates) == 0 {
		return nil, &denial{http.StatusForbidden, "no_tokens", "no change is allowed: no token is configured: set extensions::console::tokens", ""}
	}
	kind, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if presented == "" || !strings.EqualFold(kind, "Bearer") {
		who, certified := holder(c.cfg.Certificates, r)
		switch {
		case who != nil:
			return who, nil
		case certified && len(c.bearers) == 0:
			return nil, &denial{http.StatusForbidden, "certificate_unknown", "no name of the client certificate is one of extensions::console::certificates", ""}
		}
		return nil, &denial{
			http.StatusUnauthorized, "token_missing",
			"this needs a token of extensions::console::tokens: send it as Authorization: Bearer TOKEN (lockkeeper: --token or LOCKKEEPER_TOKEN)", "Bearer",
		}
	}
	if who = c.bearers.find(presented); who == nil {
		return nil, &denial{http.StatusUnauthorized, "token_unknown", "the token is none of extensions::console::tokens", `Bearer error="invalid_token"`}
	}
	return who, nil
}

// serveWho answers GET /api/v1/whoami: by what name and role a request would change something, or why it could not. Only who shows a token that is none is refused.
func (c *console) serveWho(w http.ResponseWriter, r *http.Request) {
	var answer struct {
		Name string `json:"name"`
		Role string `json:"role"`
		Why  string `json:"why,omitempty"`
	}
	switch who, no := c.identify(r); {
	case no == nil:
		answer.Name, answer.Role = who.name, who.role
	case no.reason == "token_unknown":
		c.deny(w, no)
		return
	default:
		answer.Why = no.text
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // the client is gone if this fails
}

// deny answers and counts.
func (c *console) deny(w http.ResponseWriter, no *denial) {
	if no.authenticate != "" {
		w.Header().Set("WWW-Authenticate", no.authenticate)
	}
	c.refuse(w, no.code, no.reason, no.text)
}

// refuse answers and counts.
func (c *console) refuse(w http.ResponseWriter, code int, reason, text string) {
	c.refused.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", reason)))
	refuse(w, code, text)
}

func newRefused(provider metric.MeterProvider) (metric.Int64Counter, error) {
	refused, err := provider.Meter("github.com/lockkeeper/lockkeeper/gateway/console").Int64Counter("lockkeeper_console_refused_total",
		metric.WithDescription("Requests of those who may not, by what was wrong."))
	if err != nil {
		return nil, err
	}
	for _, reason := range []string{"host", "origin", "no_tokens", "token_missing", "token_unknown", "certificate_unknown", "role"} {
		refused.Add(context.Background(), 0, metric.WithAttributes(attribute.String("reason", reason)))
	}
	return refused, nil
}

// answer remembers the status of an answer.
type answer struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
