// The Envoys that send telemetry, and how much of it arrives: what they do not tell, nobody sees.

import type { JSX } from "preact";
import type { Envoy, Nodes, Sections } from "../document";
import { count, number, percent, plain } from "../text";
import { Missing, Section, Sign, Some } from "./parts";

export function Envoys(props: { sections: Sections; found?: Nodes; missing: Record<string, string>; all: Record<string, boolean>; takes: (text: string) => boolean }): JSX.Element {
  const { nodes, xds } = props.sections;
  const few = props.found ?? nodes; // what the filter is for
  const left = few?.nodes_left_out ?? 0;
  const list = (few?.nodes ?? []).filter((n) => props.takes(`${n.id} ${n.app} ${n.version} ${n.idc}`));
  const bad = list.filter(troubled);
  const foreign = xds?.foreign ?? [];
  return (
    <Section id="envoys" title="Envoys" note={nodes ? `${count(list.length + left, "Envoy")}${xds ? `, ${count(xds.streams ?? 0, "xDS stream")}` : ""}.` : undefined}>
      {!nodes && <Missing what="Who sends telemetry is not known" why={plain(props.missing["nodes"])} />}
      {nodes && list.length === 0 && <p class="faint">None sends telemetry.</p>}
      {list.length > 0 && bad.length === 0 && <p><Sign level="ok" /> All that is sent arrives, as far as they tell.</p>}
      <Some name="envoys" list={[...bad, ...list.filter((n) => !bad.includes(n))]} few={Math.max(3, Math.min(8, bad.length))} all={props.all} each={(n) => <One key={n.id} n={n} />} />
      {left > 0 && <p class="faint">…and {left.toLocaleString("en")} more, {props.found ? "filter by more of the name" : "of which no less arrives: filter (/) to find one"}.</p>}
      {foreign.length > 0 && (
        <details>
          <summary><Sign level="info" /> {count(foreign.length, "client")} {foreign.length === 1 ? "has its" : "have their"} clusters from elsewhere: how traffic is balanced is said there</summary>
          <ul class="plain">{foreign.slice(0, 50).map((f) => <li key={f.node}>{plain(f.node, 100)} <span class="faint">{(f.clusters ?? []).slice(0, 5).map((c) => plain(c, 80)).join(", ")}</span></li>)}</ul>
        </details>
      )}
    </Section>
  );
}

// Envoy opens its log stream at the first request: one without is no trouble.
const troubled = (n: Envoy): boolean => !!n.thin;

function One(props: { n: Envoy }): JSX.Element {
  const { n } = props;
  return (
    <li class="subject">
      <p>
        <Sign level={troubled(n) ? "warn" : "ok"} /> <strong>{[n.app, n.version].map((x) => plain(x, 40)).filter(Boolean).join(" ") || plain(n.id, 100)}</strong> <span class="faint">{plain(n.idc, 40)}</span>{" "}
        {number(n.entries)} entries{n.coverage === undefined ? "" : `, ${percent(n.coverage)} of its log`}{n.als_streams ? "" : ", no log stream yet"}
      </p>
      <p class="faint labels">{plain(n.id, 120)}</p>
    </li>
  );
}
