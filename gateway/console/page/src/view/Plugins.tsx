// Plugins with their queues, and the gateways of the cluster.

import type { JSX } from "preact";
import type { Cluster, Plugin } from "../document";
import { bytes, count, plain } from "../text";
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
  const queues = p.queues ?? (p.queue ? [p.queue] : []);
  return (
    <li class="subject">
      <p>
        <Sign level={well ? "ok" : "warn"} /> <strong>{plain(p.name, 60)}</strong> <span class="faint">{plain(p.kind, 20)}</span> {plain(p.state, 30)}{p.state === "running" && p.healthy === false ? ", not healthy" : ""}{" "}
        <span class="faint">{p.restarts ? `restarted ${p.restarts} ×, ` : ""}{p.memory_bytes ? `${bytes(p.memory_bytes)}, ` : ""}<When time={p.since} now={props.now} /></span>
      </p>
      {!well && p.last_error && <p class="why">{plain(p.last_error, 300)}</p>}
      {p.binary_changed && <p class="why">The binary on disk is another than the one that runs.</p>}
      {queues.map((q) => <p key={q.name} class={q.capacity && (q.size ?? 0) > 0.5 * q.capacity ? "why" : "faint"}>queue {plain(q.name, 40)}: {(q.size ?? 0).toLocaleString("en")} of {(q.capacity ?? 0).toLocaleString("en")}</p>)}
    </li>
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
