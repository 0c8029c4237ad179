// One timeline: what happened, who or what did it and why, the newest first; diagnoses stand out.

import type { JSX } from "preact";
import type { AuditEvent } from "../document";
import { ago, clock, plain } from "../text";
import { Missing, Section, Sign, Some } from "./parts";
import type { Level } from "../verdict";

const levels: Record<string, Level | "ok"> = { verdict: "info", ejected: "bad", returned: "ok", diagnosis: "warn", weights: "info", freeze: "bad", alarm: "bad", hold: "info", shift: "info", state: "warn" };

export function Timeline(props: { events?: AuditEvent[]; why?: string; all: Record<string, boolean>; now: number; takes: (text: string) => boolean }): JSX.Element {
  const events = [...(props.events ?? [])].reverse().filter((e) => props.takes(`${e.kind} ${e.subject} ${e.what} ${e.why} ${e.who}`));
  return (
    <Section id="events" title="Timeline" wide>
      {!props.events ? <Missing what="Events are not known" why={plain(props.why)} /> : events.length === 0 && <p class="faint">Nothing has happened.</p>}
      <Some name="events" tag="ol" list={events} few={14} all={props.all} each={(e, i) => <One key={`${e.at} ${e.kind} ${e.subject} ${i}`} e={e} now={props.now} />} />
    </Section>
  );
}

function One(props: { e: AuditEvent; now: number }): JSX.Element {
  const { e } = props;
  return (
    <li class={`event kind-${plain(e.kind, 20)}`}>
      <time dateTime={e.at} title={ago(e.at, props.now)}>{clock(e.at)}</time>
      <Sign level={levels[e.kind] ?? "info"} />
      <span class="kind">{plain(e.kind, 20)}</span>
      <span class="grow">
        {e.subject && <strong>{plain(e.subject, 120)} </strong>}{plain(e.what, 500)}
        {e.why && <span class="faint"> {plain(e.why, 400)}</span>}
        {(e.who || e.undoes || e.expires) && <span class="faint">{e.who ? ` by ${plain(e.who, 60)}` : ""}{e.undoes ? `; undoes: ${plain(e.undoes, 160)}` : ""}{e.expires ? `; until ${clock(e.expires)}` : ""}</span>}
      </span>
    </li>
  );
}
