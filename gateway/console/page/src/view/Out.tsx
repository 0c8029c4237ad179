// What failover holds of machines and endpoints: what is out and why, what is unwell, frozen, held.

import type { JSX } from "preact";
import type { AuditEvent, Failover, Hold, LeftOut, Subject } from "../document";
import { count, left as timeLeft, plain } from "../text";
import { diagnosis, subjects, unwell } from "../verdict";
import { Changes } from "./Idcs";
import { Ask, Missing, Section, Sign, Some, When } from "./parts";

export function Out(props: { failover?: Failover; found?: Failover; why?: string; events?: AuditEvent[]; all: Record<string, boolean>; now: number; filtered: boolean; takes: (text: string) => boolean }): JSX.Element {
  const f = props.failover;
  const listed = subjects(f).filter((s) => s.kind !== "idc");
  const few = props.found ?? f; // what the filter is for
  const all = subjects(few).filter((s) => s.kind !== "idc");
  const left = (few?.subjects_left_out ?? []).filter((x) => x.kind !== "idc");
  const outs = left.filter((x) => x.out || x.health === "dead" || x.health === "gray");
  const matches = all.filter((s) => props.takes(`${s.subject} ${s.idc} ${s.why}`));
  const bad = matches.filter((s) => s.out || unwell(s) || s.held || s.would_out);
  const rest = matches.filter((s) => !bad.includes(s));
  const sum = (of: LeftOut[] | undefined | null, takes: (x: LeftOut) => boolean): number => (of ?? []).filter(takes).reduce((n, x) => n + x.count, 0);
  const total = listed.length + sum(f?.subjects_left_out, (x) => x.kind !== "idc");
  const well = listed.filter((s) => s.health === "healthy" && !s.out).length + sum(f?.subjects_left_out, (x) => x.kind !== "idc" && x.health === "healthy" && !x.out);
  return (
    <Section id="out" title="Failover" note={f ? `${well.toLocaleString("en")} of ${count(total, "machine and endpoint", "machines and endpoints")} are well and in.` : undefined}>
      {!f && <Missing what="Failover is not known" why={plain(props.why)} />}
      {Object.entries(f?.alarms ?? {}).map(([name, text]) => <p key={name} class="notice bad"><Sign level="bad" /> {plain(name, 60)}: {plain(text, 400)}</p>)}
      {Object.entries(f?.frozen ?? {}).map(([name, z]) => <p key={name} class="notice bad"><Sign level="bad" /> {plain(name, 80)} is frozen <When time={z.since} now={props.now} />: {plain(z.why, 400)}</p>)}
      {f && bad.length === 0 && <p class="faint">Nothing is out.</p>}
      <Some name="out" list={bad} few={8} all={props.all} each={(s) => <Item key={s.subject} s={s} now={props.now} drained={f?.serving?.out?.[s.subject]?.drain} told={diagnosis(props.events, s)} />} />
      {outs.length > 0 && <p class="why"><Sign level="warn" /> …and {sum(outs, () => true).toLocaleString("en")} more: {outs.map((x) => `${x.count.toLocaleString("en")} ${plain(x.kind, 20)} ${plain(x.health, 20)}${x.out ? ", out" : ""}`).join("; ")}.</p>}
      {props.filtered && <Some name="in" list={rest} few={10} all={props.all} each={(s) => <Item key={s.subject} s={s} now={props.now} />} />}
      {props.filtered && props.found && left.length > 0 && <p class="faint">…and {count(sum(left, () => true), "more match", "more match")}: filter by more of the name.</p>}
      {!props.filtered && rest.length + left.length > 0 && <p class="faint">Filter (/) to find one of the others and change it.</p>}
      <Holds holds={f?.holds ?? []} all={props.all} now={props.now} />
    </Section>
  );
}

function Item(props: { s: Subject; now: number; drained?: boolean; told?: AuditEvent }): JSX.Element {
  const { s } = props;
  const what = s.out ? (props.drained ? "drained" : "out") : s.would_out && !s.act ? "would be out" : "in";
  return (
    <li class="subject">
      <p>
        <Sign level={s.out || unwell(s) ? "warn" : s.health === "healthy" ? "ok" : "unknown"} /> <strong>{plain(s.subject, 120)}</strong> {s.idc && <span class="faint">{plain(s.idc, 40)}</span>} {s.health}, {what}
        {s.provisional ? ", provisional" : ""} <span class="faint"><When time={s.since} now={props.now} /></span>
      </p>
      {s.why && (s.out || unwell(s)) && <p class="why">{plain(s.why, 400)}</p>}
      {props.told && <p class="why diagnosis">{plain(props.told.what, 500)}</p>}
      {s.blocked && <p class="why">Not taken out: {plain(s.blocked, 300)}</p>}
      {(s.opinions ?? []).length > 1 && <p class="faint">{(s.opinions ?? []).map((o) => `${plain(o.site, 40)}: ${o.health || "unknown"}`).join("; ")}</p>}
      <Changes s={s} />
    </li>
  );
}

function Holds(props: { holds: Hold[]; all: Record<string, boolean>; now: number }): JSX.Element {
  return (
    <div id="holds" tabIndex={-1}>
      {props.holds.length > 0 && <h3>Holds</h3>}
      <Some name="holds" list={props.holds} few={6} all={props.all} each={(h) => (
        <li key={h.subject} class="subject">
          <p><strong>{plain(h.action, 20)}</strong> {plain(h.subject, 120)} by {plain(h.by, 60)}, {timeLeft(h.until, props.now)}{h.hard ? ", hard" : ""}{h.why ? `: ${plain(h.why)}` : ""}</p>
          <div class="tools"><Ask change={{ kind: "release", subject: h.subject }} label={`Release the hold of ${plain(h.subject, 80)}`}>Release…</Ask></div>
        </li>
      )} />
    </div>
  );
}
