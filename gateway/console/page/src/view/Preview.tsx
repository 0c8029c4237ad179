// What a change would do, as the gateway says when it is only tried.

import type { JSX } from "preact";
import type { Changed, Wish } from "../changes";
import { seconds } from "../changes";
import type { Alert, Plan } from "../document";
import { serverNow, type Change, type State } from "../state";
import { clock, count, ms, percent, plain, span } from "../text";
import { Sign } from "./parts";

export function Preview(props: { change: Change; wish: Wish; tried: Changed; s: State }): JSX.Element {
  const { change, wish, tried, s } = props;
  const until = `until ${clock(serverNow(s) + seconds(wish.for) * 1000)} (${span(seconds(wish.for))})`;
  return (
    <div class="preview" role="status">
      <h3>What will happen</h3>
      <ul>
        {change.kind === "silence" && <Silenced labels={change.labels} alerts={s.overview?.sections.alerts ?? []} until={until} />}
        {(tried.holds ?? []).map((h) => <li key={h.subject}>{plain(h.subject, 120)}: {plain(h.action, 20)}{h.hard ? ", hard" : ""}, until {clock(h.until)} ({span(seconds(wish.for))})</li>)}
        {(tried.replaced ?? []).map((h) => <li key={h.subject}>This takes the place of: {plain(h.action, 20)} by {plain(h.by, 60)} until {clock(h.until)}</li>)}
        {(tried.released ?? []).map((h) => <li key={h.subject}>{plain(h.subject, 120)}: the {plain(h.action, 20)} by {plain(h.by, 60)} ends</li>)}
        {(tried.warnings ?? []).map((w) => <li key={w}><Sign level="warn" /> {plain(w, 400)}</li>)}
        {change.kind === "unsilence" && <li>The silence ends now.</li>}
      </ul>
      {tried.plan && change.kind === "shift" && <Steps plan={tried.plan} s={s} />}
      {tried.plan && change.kind === "abort" && <p>Shift {plain(tried.plan.id, 60)} of {plain(tried.plan.by, 60)} ends; weights are again {weights(tried.plan.base)}, unless an earlier shift still lasts.</p>}
    </div>
  );
}

function Silenced(props: { labels: Record<string, string>; alerts: Alert[]; until: string }): JSX.Element {
  const labels = Object.entries(props.labels);
  const n = props.alerts.filter((a) => labels.every(([name, value]) => a.labels[name] === value)).length;
  return <li>{count(n, "alert")} with {labels.map(([name, value]) => `${plain(name, 40)}=${plain(value, 60)}`).join(", ")}: nobody is told, {props.until}</li>;
}

function Steps(props: { plan: Plan; s: State }): JSX.Element {
  const { plan, s } = props;
  const idcs = Object.keys(plan.base ?? {}).sort();
  const now = s.overview?.sections.failover?.serving?.idcs ?? {};
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Steps of the shift">
      <table>
        <thead><tr><th scope="col">Step</th><th scope="col">For</th>{idcs.map((i) => <th key={i} scope="col" class="number">{plain(i, 40)}</th>)}</tr></thead>
        <tbody>
          <tr><td>served now</td><td /> {idcs.map((i) => <td key={i} class="number">{percent((now[i]?.entry ?? 0) / 10_000)}</td>)}</tr>
          {(plan.steps ?? []).map((step, n) => (
            <tr key={n}><td>{n + 1}</td><td>{step.for || (plan.expires ? `until ${clock(plan.expires)}` : "good")}</td>{idcs.map((i) => <td key={i} class="number">{percent((step.weights?.[i] ?? 0) / 10_000)}</td>)}</tr>
          ))}
        </tbody>
      </table>
      {plan.abort_if && <p>It is aborted when {broken(plan.abort_if)}.</p>}
      {s.overview?.sections.failover?.shift?.id && <p>It takes the place of shift {plain(s.overview.sections.failover.shift.id, 60)} of {plain(s.overview.sections.failover.shift.by, 60)}.</p>}
    </div>
  );
}

function broken(c: NonNullable<Plan["abort_if"]>): string {
  const parts = [...(c.error_ratio ? [`more than ${percent(c.error_ratio)} fail`] : []), ...Object.entries(c.flags ?? {}).sort().map(([flag, share]) => `more than ${percent(share)} have ${plain(flag, 20)}`),
    ...(c.p99_ms ? [`p99 is above ${ms(c.p99_ms)}`] : [])];
  return `${parts.join(", or ")}, of at least ${count(c.min_requests ?? 0, "request")} that enter an IDC that gains`;
}

function weights(of: Record<string, number> | undefined): string {
  return Object.entries(of ?? {}).sort().map(([idc, w]) => `${plain(idc, 40)} ${percent(w / 10_000)}`).join(", ") || "the base weights";
}
