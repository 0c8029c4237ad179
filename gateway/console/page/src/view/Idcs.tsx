// The data centres: weights asked and measured, what DNS answers, health at the door and inside, and the shift that is on.

import type { JSX } from "preact";
import type { Plan, Sections, Subject } from "../document";
import { clock, left, number, percent, plain } from "../text";
import { subjects } from "../verdict";
import { Ask, Missing, Section, Sign, When } from "./parts";

export function Idcs(props: { sections: Sections; missing: Record<string, string>; now: number }): JSX.Element {
  const { failover, shift } = props.sections;
  const weights = failover?.serving?.idcs ?? {};
  const names = [...new Set([...Object.keys(weights), ...subjects(failover).filter((s) => s.kind === "idc").map((s) => s.idc ?? "")])].filter(Boolean).sort();
  return (
    <Section id="idcs" title="Data centres" tools={shift?.active ? <Ask change={{ kind: "abort" }} label="End the shift">End shift…</Ask> : undefined}>
      {!failover && <Missing what="Failover is not known" why={plain(props.missing["failover"])} />}
      {failover && names.length === 0 && <p class="faint">No IDC is configured in failover::idcs.</p>}
      <div class="idcs">{names.map((name) => <Idc key={name} name={name} sections={props.sections} now={props.now} />)}</div>
      <OnShift plan={shift?.active ? shift.plan : undefined} now={props.now} />
    </Section>
  );
}

function Idc(props: { name: string; sections: Sections; now: number }): JSX.Element {
  const { name, sections } = props;
  const weights = sections.failover?.serving?.idcs?.[name], would = sections.failover?.would?.idcs?.[name];
  const of = subjects(sections.failover).filter((s) => s.kind === "idc" && (s.idc === name || s.subject.startsWith(`idc/${name}/`)));
  const measured = sections.shift?.entry?.find((m) => m.idc === name);
  const answers = (sections.dns?.zones ?? []).flatMap((z) => z.names ?? []).map((n) => ({ name: n.name, idc: n.idcs?.find((i) => i.idc === name) })).filter((n) => n.idc);
  const served = (weights?.entry ?? 0) / 10_000;
  const bad = of.some((s) => s.out || s.health === "dead" || s.health === "gray");
  return (
    <article class={`idc ${weights?.entry === 0 || bad ? "bad" : ""}`} aria-label={plain(name, 60)}>
      <div class="idc-head">
        <h3><Sign level={bad || weights?.entry === 0 ? "bad" : of.length ? "ok" : "unknown"} /> {plain(name, 60)}</h3>
        <Ask change={{ kind: "shift", idc: name }} label={`Shift traffic of ${plain(name, 60)}`}>Shift…</Ask>
      </div>
      <dl class="weights">
        {measured && Math.abs(measured.asked_percent / 100 - served) > 0.005 && <><dt>Asked</dt><dd>{percent(measured.asked_percent / 100)}</dd></>}
        <dt>Served</dt><dd><Meter label={`Entry weight of ${plain(name, 60)}`} share={served} /> {percent(served)}</dd>
        <dt>Last minute</dt><dd>{measured?.measured_percent === undefined || measured.measured_percent === null ? <span class="faint">nothing entered, or no ingress tells</span>
          : <><Meter label={`Measured share of ${plain(name, 60)}`} share={measured.measured_percent / 100} /> {percent(measured.measured_percent / 100)} <span class="faint">{number(measured.rate)}/s</span></>}</dd>
        {weights && weights.mesh !== weights.entry && <><dt>In the mesh</dt><dd>{percent(weights.mesh / 10_000)}</dd></>}
        {would && weights && would.entry !== weights.entry && <><dt>Would be</dt><dd>{percent(would.entry / 10_000)} <span class="faint">in mode act</span></dd></>}
        {answers.map((a) => <><dt>DNS</dt><dd>{plain(a.name, 80).replace(/\.$/, "")}: {Object.entries(a.idc?.share ?? {}).map(([type, share]) => `${type} ${percent(share / 100)}`).join(", ") || "not answered"} <span class="faint">{(a.idc?.addresses ?? []).map((x) => plain(x, 45)).join(", ")}</span></dd></>)}
      </dl>
      {weights?.why && weights.why !== "base weight" && !bad && <p class="why faint">{plain(weights.why, 300)}</p>}
      {of.map((s) => <Part key={s.subject} s={s} now={props.now} />)}
    </article>
  );
}

// Meter is text for those who hear it: the number stands beside it.
function Meter(props: { share: number; label: string }): JSX.Element {
  return (
    <svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={`${props.label}: ${percent(props.share)}`}>
      <rect width="100" height="8" /><rect class="fill" width={100 * Math.min(1, Math.max(0, props.share))} height="8" />
    </svg>
  );
}

function Part(props: { s: Subject; now: number }): JSX.Element {
  const { s } = props;
  const name = s.subject.split("/")[2] ?? s.subject;
  const healthy = s.health === "healthy" && !s.out;
  return (
    <div class="part">
      <p>
        <Sign level={s.out || s.health === "dead" || s.health === "gray" ? "bad" : healthy ? "ok" : "unknown"} /> {plain(name, 40)} {s.health}{s.out ? ", out" : s.would_out && !s.act ? ", would be out" : ""}{" "}
        <span class="faint"><When time={s.since} now={props.now} /></span>
      </p>
      {!healthy && s.why && <p class="why">{plain(s.why, 300)}</p>}
      {s.blocked && <p class="why">Not taken out: {plain(s.blocked, 300)}</p>}
      {s.held && <p class="why">{plain(s.held.action, 20)} by {plain(s.held.by, 60)}, {left(s.held.until, props.now)}</p>}
      <Changes s={s} />
    </div>
  );
}

export function Changes(props: { s: Subject }): JSX.Element {
  const subject = props.s.subject, name = plain(subject, 80);
  return (
    <div class="tools">
      <Ask change={{ kind: "hold", subject }} label={`Hold ${name} as it is`}>Hold…</Ask>
      {!props.s.out && <Ask change={{ kind: "eject", subject }} label={`Eject ${name}`}>Eject…</Ask>}
      {(props.s.out || props.s.health !== "healthy") && <Ask change={{ kind: "restore", subject }} label={`Restore ${name}`}>Restore…</Ask>}
      {props.s.held && <Ask change={{ kind: "release", subject }} label={`Release the hold of ${name}`}>Release…</Ask>}
    </div>
  );
}

function OnShift(props: { plan?: Plan | null; now: number }): JSX.Element | null {
  const { plan } = props;
  if (!plan) return null;
  return (
    <p class="notice"><Sign level="info" /> Shift {plain(plan.id, 60)} of {plain(plan.by, 60)} since {clock(plan.at)}: step {(plan.stage ?? 0) + 1} of {plan.steps?.length ?? 1}, {plain(plan.state, 20)}
      {plan.expires ? `, ends at ${clock(plan.expires)} (${left(plan.expires, props.now)})` : ""}{plan.note ? `. ${plain(plan.note)}` : ""}</p>
  );
}
