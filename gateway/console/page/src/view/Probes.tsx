// What the gateway tries by itself: each target with its last minutes, and the machines that are pinged.

import type { JSX } from "preact";
import type { Probes as Probed, ProbeTarget } from "../document";
import { ms, plain } from "../text";
import { probeName } from "../verdict";
import { Missing, Section, Sign, Some, When } from "./parts";

export function Probes(props: { probes?: Probed; why?: string; all: Record<string, boolean>; now: number; takes: (text: string) => boolean }): JSX.Element {
  const targets = (props.probes?.targets ?? []).filter((t) => props.takes(`${t.name} ${t.subject} ${t.target} ${t.address}`))
    .sort((a, b) => Number(a.success ?? 0.5) - Number(b.success ?? 0.5) || a.name.localeCompare(b.name));
  const machines = props.probes?.machines;
  const down = machines?.down ?? [];
  return (
    <Section id="probes" title="Probes" note="One bar a minute: height is how much succeeded.">
      {!props.probes && <Missing what="Probes are not known" why={plain(props.why)} />}
      {props.probes && targets.length === 0 && !machines && <p class="faint">No probe is configured.</p>}
      <Some name="probes" list={targets} few={8} all={props.all} each={(t) => <Target key={`${t.name} ${t.observer} ${t.address}`} t={t} now={props.now} />} />
      {machines && machines.total > 0 && (
        <>
          <p class="sub"><Sign level={down.length ? "warn" : "ok"} /> Machines: {machines.answering.toLocaleString("en")} of {machines.total.toLocaleString("en")} answer</p>
          <Some name="down" list={down} few={6} all={props.all} each={(d) => <li key={d.name}>{plain(d.name, 80)} <span class="faint">{plain(d.error, 120)} <When time={d.since} now={props.now} /></span></li>} />
        </>
      )}
    </Section>
  );
}

function Target(props: { t: ProbeTarget; now: number }): JSX.Element {
  const { t } = props;
  const minutes = (t.minutes ?? []).slice(-10);
  const good = minutes.reduce((n, m) => n + m.ok, 0), bad = minutes.reduce((n, m) => n + m.bad, 0);
  return (
    <li class="target">
      <Sign level={t.success === undefined ? "unknown" : t.success ? "ok" : "bad"} />
      <span class="grow">
        <strong>{probeName(t)}</strong> <span class="faint">{plain(t.module || t.prober, 40)} {plain(t.target, 120)} {t.address && t.address !== t.target ? `at ${plain(t.address, 60)}` : ""}{t.observer ? ` from ${plain(t.observer, 40)}` : ""}</span>
        {t.success === false && t.error && <span class="why">{plain(t.error, 240)} <When time={t.since} now={props.now} /></span>}
      </span>
      <svg class="bars" viewBox="0 0 60 20" role="img" aria-label={`The last ${minutes.length} minutes: ${good} good, ${bad} bad`}>
        {minutes.map((m, i) => <Bar key={m.at} x={6 * (10 - minutes.length + i)} ok={m.ok} bad={m.bad} />)}
      </svg>
      <span class="number">{ms(t.duration_ms)}</span>
    </li>
  );
}

function Bar(props: { x: number; ok: number; bad: number }): JSX.Element | null {
  const all = props.ok + props.bad;
  if (all === 0) return null;
  const good = 18 * props.ok / all;
  return (
    <>
      {props.bad > 0 && <rect class="failed" x={props.x} y={1} width={5} height={18 - good} />}
      <rect class="good" x={props.x} y={19 - good} width={5} height={good} />
    </>
  );
}
