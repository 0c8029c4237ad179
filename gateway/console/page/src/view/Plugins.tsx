// Plugins with their queues, and the gateways of the cluster.

import type { JSX } from "preact";
import type { Cluster, Plugin, Queue } from "../document";
import { bytes, count, number, plain, span } from "../text";
import { Missing, Section, Sign, When } from "./parts";

export function Plugins(props: { plugins?: Plugin[]; why?: string; now: number }): JSX.Element {
  return (
    <Section id="plugins" title="Plugins">
      {!props.plugins ? <Missing what="Plugins are not known" why={plain(props.why)} /> : props.plugins.length === 0 && <p class="faint">No plugin is configured.</p>}
      <ul class="plain">{(props.plugins ?? []).map((p) => <One key={p.name} p={p} now={props.now} />)}</ul>
    </Section>
  );
}

function One(props: { p: Plugin; now: number }): JSX.Element {
  const { p } = props;
  const well = p.state === "running" && p.healthy !== false;
  return (
    <li class="subject">
      <p>
        <Sign level={well ? "ok" : "warn"} /> <strong>{plain(p.name, 60)}</strong> <span class="faint">{plain(p.kind, 20)}</span> {plain(p.state, 30)}{p.state === "running" && p.healthy === false ? ", not healthy" : ""}{" "}
        <span class="faint">{p.restarts ? `restarted ${p.restarts} ×, ` : ""}{p.memory_bytes ? `${bytes(p.memory_bytes)}, ` : ""}<When time={p.since} now={props.now} /></span>
      </p>
      {!well && p.last_error && <p class="why">{plain(p.last_error, 300)}</p>}
      {p.binary_changed && <p class="why">The binary on disk is another than the one that runs.</p>}
      {(p.queues ?? []).map((q) => <Waiting key={`${q.exporter} ${q.signal}`} q={q} />)}
    </li>
  );
}

// Waiting is what is kept for a plugin that does not take it. A queue is worth a warning when it is half full, or what is in it is old.
function Waiting(props: { q: Queue }): JSX.Element {
  const { q } = props;
  const size = q.size ?? 0, capacity = q.capacity ?? 0, old = q.oldest_seconds ?? 0;
  const amount = (n: number): string => q.unit === "bytes" ? bytes(n) : `${number(n)} ${plain(q.unit, 20)}`;
  const bad = size > 0 && (size > 0.5 * capacity || old > 60);
  return (
    <p class={bad ? "why" : "faint"}>
      {bad && <Sign level="warn" />} Queue of {plain(q.signal || q.exporter, 40)}: {size === 0 ? "empty" : `${amount(size)} of ${amount(capacity)}, the first waits for ${span(old)}`}
    </p>
  );
}

export function Gateways(props: { cluster?: Cluster; now: number }): JSX.Element | null {
  const members = props.cluster?.members ?? [];
  if (members.length === 0) return null;
  return (
    <Section id="gateways" title="Gateways" note={count(members.length, "gateway")}>
      <ul class="plain">{members.map((m) => (
        <li key={m.name}>
          <Sign level={m.self || m.state === "alive" ? "ok" : "warn"} /> <strong>{plain(m.name, 60)}</strong> <span class="faint">{plain(m.site, 40)}{m.self ? ", this one" : ""}</span> {plain(m.state, 20)}{" "}
          <span class="faint">{!m.self && <>last word <When time={m.last_word} now={props.now} /></>}</span>
        </li>
      ))}</ul>
    </Section>
  );
}
