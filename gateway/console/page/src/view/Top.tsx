// The top of the page: who speaks, the filter, the verdict, and what is missing.

import type { JSX } from "preact";
import { filter } from "../search";
import { update, type State } from "../state";
import { clock, plain, span } from "../text";
import { absent, observed, type Finding, type Verdict } from "../verdict";
import { Sign, unfold } from "./parts";

export function Bar(props: { s: State }): JSX.Element {
  const { overview } = props.s;
  return (
    <header class="bar">
      <h1>Lockkeeper</h1>
      <p class="faint who">{plain(overview?.gateway, 60)} {plain(overview?.version, 40)}</p>
      <nav aria-label="Sections">
        <a href="#mesh">Mesh</a><a href="#funnels">Funnels</a><a href="#idcs">IDCs</a><a href="#out">Failover</a><a href="#probes">Probes</a>
        <a href="#alerts">Alerts</a><a href="#plugins">Plugins</a><a href="#events">Events</a><a href="vmui/">Metrics</a><a href="logs/">Logs</a>
      </nav>
      <label class="search">
        <span class="unseen">Filter by app, version, IDC, flag or subject</span>
        <input id="filter" type="search" placeholder="Filter  /" value={props.s.filter} autocomplete="off" spellcheck={false}
          onInput={(e) => filter(e.currentTarget.value)} />
      </label>
      <button type="button" class="quiet" onClick={() => update(() => ({ change: { kind: "token" } }))} aria-haspopup="dialog">{props.s.who?.name ? `${plain(props.s.who.name, 40)}, ${plain(props.s.who.role, 20)}` : "Token"}</button>
      <button type="button" class="quiet" onClick={() => update(() => ({ help: true }))} aria-haspopup="dialog" aria-label="Help: keys and marks">?</button>
    </header>
  );
}

export function Headline(props: { s: State; v: Verdict }): JSX.Element {
  const { s, v } = props;
  const stale = s.overview !== undefined && (s.problem !== "" || s.old);
  const others = v.findings.filter((f, i) => !(i === 0 && f.level !== "info"));
  const first = v.findings[0];
  const open = s.showAll["findings"] ?? false;
  const shown = open ? others : others.slice(0, 5);
  return (
    <div class={`verdict ${stale ? "unknown" : v.level}`} id="verdict" data-testid="verdict" data-level={v.level}>
      <p class="headline" role="status" aria-live="polite"><Sign level={stale ? "unknown" : v.level} /> {stale ? `At ${clock(s.serverTime)}: ${v.headline}` : v.headline}</p>
      {first && first.level !== "info" && first.why && <p class="why">{first.why}</p>}
      {shown.length > 0 && <ul class="plain findings" aria-label="Also">{shown.map((f) => <Item key={f.text} f={f} />)}</ul>}
      {others.length > 5 && <button type="button" class="quiet" aria-expanded={open} onClick={() => unfold("findings", !open)}>{open ? "Show fewer" : `and ${others.length - 5} more`}</button>}
      <p class="fresh">{fresh(s)}</p>
    </div>
  );
}

function Item(props: { f: Finding }): JSX.Element {
  return <li><Sign level={props.f.level} /> <a href={`#${props.f.to}`}>{props.f.text}</a>{props.f.why && <span class="faint"> {props.f.why}</span>}</li>;
}

function fresh(s: State): string {
  if (!s.overview) return s.problem ? `${s.problem}; asking again` : "Loading …";
  const age = (performance.now() - s.received) / 1000;
  if (s.old && !s.problem) return `This is how it stood ${span((Date.now() - s.heard) / 1000)} ago. Asking now.`;
  if (s.problem) return `Stale since ${clock(s.serverTime)} (${span(age)}): ${plain(s.problem)}. Asking again.`;
  const without = Object.entries(s.overview.missing ?? {}).filter(([, why]) => absent(why)).map(([name]) => names[name] ?? plain(name, 40));
  return `As of ${clock(s.serverTime)} by the gateway's clock.${without.length ? ` Not configured: ${without.join(", ")}.` : ""}`;
}

const names: Record<string, string> = {
  mesh: "Mesh", failover: "Failover", dns: "DNS", probes: "Probes", plugins: "Plugins", alerts: "Alerts", silences: "Silences", events: "Events", cluster: "Cluster", shift: "Shift", nodes: "Envoys", xds: "xDS",
};

export function Notices(props: { s: State }): JSX.Element {
  const missing = Object.entries(props.s.overview?.missing ?? {}).filter(([, why]) => !absent(why));
  const kinds = observed(props.s.overview?.sections.failover);
  return (
    <div class="notices">
      {kinds.length > 0 && (
        <p class="notice" id="observe"><Sign level="info" /> <strong>Mode observe</strong> for {kinds.join(", ")}: the page says what would be done, and nothing is done. What a person holds or ejects does act.</p>
      )}
      {missing.length > 0 && (
        <p class="notice" id="missing"><Sign level="unknown" /> <strong>Missing:</strong> {missing.map(([name, why], i) => (
          <span key={name}>{i > 0 ? "; " : ""}{names[name] ?? plain(name, 40)}{" "}<span class="faint">({plain(why, 160)})</span></span>
        ))}</p>
      )}
    </div>
  );
}

// Said is what came of a change. It stays until it is closed, for the one who looks away.
export function Said(props: { s: State }): JSX.Element {
  return (
    <div class="said" role="status" aria-live="polite">
      {props.s.said && <p>{props.s.said} <button type="button" class="quiet" aria-label="Close this message" onClick={() => update(() => ({ said: "" }))}>✕</button></p>}
    </div>
  );
}

