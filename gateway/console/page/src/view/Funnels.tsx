// How far requests get in each IDC, hop by hop, with the hop marked where they are lost.

import type { JSX } from "preact";
import type { Funnel, Hop, Sections } from "../document";
import { number, percent, plain } from "../text";
import { Missing, Section, Sign, Some } from "./parts";

const words: Record<string, string> = { lost: "requests are lost", quiet: "no longer sends as much", telemetry: "Envoy is silent" };

export function Funnels(props: { sections: Sections; missing: Record<string, string>; all: Record<string, boolean>; takes: (text: string) => boolean }): JSX.Element {
  const funnels = props.sections.mesh?.funnels ?? [];
  return (
    <Section id="funnels" title="Funnels" note="Requests hop by hop, of those that entered; the thin mark is the usual share.">
      {!props.sections.mesh ? <Missing what="The mesh is not known" why={plain(props.missing["mesh"])} /> : funnels.length === 0 && <p class="faint">No ingress reports yet.</p>}
      <div class="funnels">{funnels.map((f) => <One key={f.idc} funnel={f} all={props.all} takes={props.takes} />)}</div>
    </Section>
  );
}

function One(props: { funnel: Funnel; all: Record<string, boolean>; takes: (text: string) => boolean }): JSX.Element {
  const hops = (props.funnel.hops ?? []).filter((h) => props.takes(`${props.funnel.idc} ${h.from} ${h.to}`));
  // What dropped must be seen even where the list is long; else the way of the requests is the order.
  const order = [...hops].sort((a, b) => a.depth - b.depth || (b.share ?? 0) - (a.share ?? 0));
  const list = hops.length > 10 ? [...order.filter((h) => h.drop), ...order.filter((h) => !h.drop)] : order;
  return (
    <div class="funnel">
      <h3>{plain(props.funnel.idc, 60)}</h3>
      <Some name={`funnel ${props.funnel.idc}`} list={list} few={10} all={props.all} tag="ol" each={(h) => <Step key={`${h.depth} ${h.from} ${h.to}`} hop={h} />} />
    </div>
  );
}

function Step(props: { hop: Hop }): JSX.Element {
  const { hop } = props;
  const share = Math.min(1, Math.max(0, hop.share ?? 0)), usual = Math.min(1, Math.max(0, hop.usual_share ?? -1));
  const name = hop.from ? `${plain(hop.from, 40)} → ${plain(hop.to, 40)}` : `enters ${plain(hop.to, 40)}`;
  return (
    <li class={hop.drop ? `hop ${hop.drop}` : "hop"}>
      <span class="hop-name">{name}</span>
      <svg class="meter" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label={`${percent(hop.share)}${hop.usual_share === undefined ? "" : `, usually ${percent(hop.usual_share)}`}`}>
        <rect width="100" height="10" /><rect class="fill" width={100 * share} height="10" />
        {hop.usual_share !== undefined && <rect class="usual" x={Math.max(0, 100 * usual - 0.7)} width="1.4" height="10" />}
      </svg>
      <span class="number">{percent(hop.share)}</span>
      <span class="number faint">{number(hop.rate)}/s</span>
      {hop.drop && <span class="drop"><Sign level={hop.drop === "telemetry" ? "warn" : "bad"} /> {plain(hop.text, 300) || words[hop.drop] || plain(hop.drop, 20)}</span>}
    </li>
  );
}
