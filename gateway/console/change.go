package console

import (
	"context"
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
	if len(c.bearers) == 0 && len(c.cfg.Certificates) == 0 {
		c.refuse(w, http.StatusForbidden, "no_tokens", "no change is allowed: no token is configured: set extensions::console::tokens")
		return nil
	}
	who := c.identify(w, r)
	if who != nil && rank(who.role) < rank(role) {
		c.refuse(w, http.StatusForbidden, "role", fmt.Sprintf("this needs the role %s: %q has the role %s", role, who.name, who.role))
		return nil
	}
	return who
}

// identify says who sends a request: by the token, or where there is none, by the client certificate. It answers those that it does not know;
// for them it returns nil.
func (c *console) identify(w http.ResponseWriter, r *http.Request) *bearer {
	kind, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if presented == "" || !strings.EqualFold(kind, "Bearer") {
		who, certified := holder(c.cfg.Certificates, r)
		if who != nil {
			return who
		}
		if certified && len(c.bearers) == 0 {
			c.refuse(w, http.StatusForbidden, "certificate_unknown", "no name of the client certificate is one of extensions::console::certificates")
			return nil
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		c.refuse(w, http.StatusUnauthorized, "token_missing",
			"this needs a token of extensions::console::tokens: send it as Authorization: Bearer TOKEN (lockkeeper: --token or LOCKKEEPER_TOKEN)")
		return nil
	}
	who := c.bearers.find(presented)
	if who == nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		c.refuse(w, http.StatusUnauthorized, "token_unknown", "the token is none of extensions::console::tokens")
	}
	return who
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
