// Alerts that are on, the worst first, and silences.

import type { JSX } from "preact";
import type { Alert, Silence } from "../document";
import { left, plain } from "../text";
import { active } from "../verdict";
import { Ask, Missing, Section, Sign, Some, When } from "./parts";

const severe = (a: Alert): number => ["page", "critical"].includes(a.labels["severity"] ?? "") ? 0 : 1;

export function Alerts(props: { alerts?: Alert[]; silences?: Silence[]; why?: string; all: Record<string, boolean>; now: number; takes: (text: string) => boolean }): JSX.Element {
  const alerts = (props.alerts ?? []).filter((a) => props.takes(`${Object.values(a.labels).join(" ")} ${Object.values(a.annotations ?? {}).join(" ")}`))
    .sort((a, b) => Number(active(b)) - Number(active(a)) || severe(a) - severe(b) || Date.parse(b.startsAt ?? "") - Date.parse(a.startsAt ?? ""));
  const silences = (props.silences ?? []).filter((s) => s.status?.state !== "expired");
  return (
    <Section id="alerts" title="Alerts">
      {!props.alerts ? <Missing what="Alerts are not known" why={plain(props.why)} /> : alerts.length === 0 && <p class="faint">No alert is on.</p>}
      <Some name="alerts" list={alerts} few={6} all={props.all} each={(a) => <One key={a.fingerprint} a={a} now={props.now} />} />
      {silences.length > 0 && <h3>Silences</h3>}
      <Some name="silences" list={silences} few={4} all={props.all} each={(s) => (
        <li key={s.id} class="subject">
          <p>{(s.matchers ?? []).map((m) => `${plain(m.name, 60)}${m.isEqual === false ? "!" : ""}${m.isRegex ? "~" : "="}${plain(m.value, 80)}`).join(", ")} <span class="faint">by {plain(s.createdBy, 60)}, {left(s.endsAt, props.now)}: {plain(s.comment)}</span></p>
          <div class="tools"><Ask change={{ kind: "unsilence", id: s.id, comment: plain(s.comment, 80) }} label={`End the silence: ${plain(s.comment, 60)}`}>End…</Ask></div>
        </li>
      )} />
    </Section>
  );
}

function One(props: { a: Alert; now: number }): JSX.Element {
  const { a } = props;
  const on = active(a);
  const more = Object.entries(a.labels).filter(([name]) => !["alertname", "severity", "owner"].includes(name));
  return (
    <li class="subject">
      <p>
        <Sign level={!on ? "info" : severe(a) === 0 ? "bad" : "warn"} /> <strong>{plain(a.labels["alertname"], 80)}</strong> <span class="tag">{plain(a.labels["severity"], 20) || "no severity"}</span>
        {!on && <span class="tag">{a.status?.silencedBy?.length ? "silenced" : "inhibited"}</span>} <span class="faint"><When time={a.startsAt} now={props.now} /></span>
      </p>
      <p class="why">{plain(a.annotations?.["summary"], 200)}{a.annotations?.["description"] ? <span class="faint"> {plain(a.annotations["description"], 300)}</span> : null}</p>
      {more.length > 0 && <p class="faint labels">{more.slice(0, 10).map(([name, value]) => `${plain(name, 40)}=${plain(value, 60)}`).join("  ")}</p>}
      <div class="tools">{on && <Ask change={{ kind: "silence", labels: a.labels }} label={`Silence ${plain(a.labels["alertname"], 60)}`}>Silence…</Ask>}<Runbook url={a.annotations?.["runbook_url"]} /></div>
    </li>
  );
}

// Runbook links to nothing but web pages.
function Runbook(props: { url?: string }): JSX.Element | null {
  if (!props.url || !URL.canParse(props.url) || !["http:", "https:"].includes(new URL(props.url).protocol)) return null;
  return <a href={props.url} rel="noopener noreferrer" target="_blank">Runbook</a>;
}
