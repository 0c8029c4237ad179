package alerting

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// watched is a part of the gateway that knows what is wrong with it.
type watched interface {
	// Alerts are all that fire now. One that is not among them any more is over. It must not block. In a cluster, those that
	// have no label gateway get it: they are this gateway's own. What all gateways see alike has it, and empty.
	Alerts() []sdk.Alert
}

// watch asks the parts of the gateway what is wrong. They are asked rather than that they tell, since whole state survives whatever
// happens to either side, and since they then work without this extension.
func (a *alerting) watch(ctx context.Context, parts []watched) {
	self := a.peers.self()
	every(ctx, time.Second, func() {
		var alerts []*alert.Alert
		now := time.Now()
		for _, part := range slices.Concat(parts, a.at.Load().plan.channels) {
			for _, p := range part.Alerts() {
				converted := &alert.Alert{
					Alert: model.Alert{
						Labels: labels(p.Labels), Annotations: labels(p.Annotations), StartsAt: p.StartsAt, GeneratorURL: p.GeneratorURL,
					},
					UpdatedAt: now,
				}
				if _, told := p.Labels[gatewayLabel]; !told && self != "" {
					converted.Labels[gatewayLabel] = model.LabelValue(self)
				}
				if err := converted.Validate(); err != nil {
					a.metrics.invalid(fromGateway, 1)
					a.report(fmt.Errorf("an alert of the gateway is none: %w", err))
					continue
				}
				alerts = append(alerts, converted)
			}
		}
		a.report(a.state.intake.replace(ctx, fromGateway, alerts))
	})
}
