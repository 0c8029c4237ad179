// One edge: its flags explained, versions beside each other, the last hour, and the requests that failed last.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { EdgeDetail, Explanation } from "../detail";
import type { Edge } from "../document";
import { close, select } from "../select";
import type { Selected } from "../state";
import { flagsText, ms, nameOf, number, percent, placeOf, plain, versionOf } from "../text";
import { ends, failing } from "../verdict";
import { Chart } from "./Chart";
import { Failures } from "./Failures";
import { Missing, Sign } from "./parts";

export function EdgePanel(props: { selected: Selected; edge?: Edge }): JSX.Element {
  const { selected } = props;
  const edge = selected.detail?.edge ?? props.edge;
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus(), [selected.id]);
  return (
    <div class="panel" id="edge" role="dialog" aria-labelledby="edge-title">
      <div class="panel-head">
        <h2 id="edge-title" tabIndex={-1} ref={title}>{edge ? ends(edge) : "Edge"}</h2>
        <button type="button" class="quiet" onClick={close} aria-label="Close, Esc">✕ <kbd>Esc</kbd></button>
      </div>
      {selected.problem && <Missing what="Its details are not known" why={plain(selected.problem)} />}
      {edge && <Facts e={edge} />}
      {edge && <Flags e={edge} explained={selected.explained} />}
      {selected.detail && <Details detail={selected.detail} />}
    </div>
  );
}

function Facts(props: { e: Edge }): JSX.Element {
  const { e } = props;
  const facts: [string, string][] = [
    ["Rate", `${number(e.rate)}/s${e.usual_rate === undefined ? "" : `, usually ${number(e.usual_rate)}/s`}`], ["Errors", percent(e.errors)],
    ["Latency", `p50 ${ms(e.p50_ms)}, p99 ${ms(e.p99_ms)}`], ["Loss", e.loss === undefined ? "not known" : percent(e.loss)],
    ["Service", plain(e.destination.service, 120)], ["IDC", plain(e.idc, 60)], ["Protocol", plain(e.protocol, 20)],
    ["From", placeOf(e.source)], ["To", placeOf(e.destination)],
    ["Told by", (e.reporters ?? []).map((r) => plain(r, 20)).join(" and ") || "–"],
  ];
  return (
    <>
      {failing(e) && <p class="notice bad"><Sign level="bad" /> {percent(e.errors)} of its requests fail.</p>}
      <dl class="facts">{facts.map(([name, value]) => <><dt>{name}</dt><dd>{value || "–"}</dd></>)}</dl>
    </>
  );
}

function Flags(props: { e: Edge; explained?: Selected["explained"] }): JSX.Element {
  const source = props.e.flags ?? {}, destination = props.e.destination_flags ?? {};
  const names = [...new Set([...Object.keys(source), ...Object.keys(destination)])].sort((a, b) => (source[b] ?? 0) - (source[a] ?? 0));
  return (
    <section aria-label="Flags">
      <h3>Flags</h3>
      {names.length === 0 && <p class="faint">None: Envoy saw nothing wrong{props.e.errors > 0 ? "; the errors are the application's own" : ""}.</p>}
      {(props.explained?.together ?? []).map((t) => <p key={t.flags.join()} class="notice"><Sign level="info" /> <strong>{t.flags.join(" + ")}</strong>: {plain(t.meaning, 600)}</p>)}
      {names.map((flag) => (
        <Flag key={flag} flag={flag} source={source[flag]} destination={destination[flag]} told={props.explained?.flags.find((x) => x.flag === flag)} />
      ))}
    </section>
  );
}

function Flag(props: { flag: string; source?: number; destination?: number; told?: Explanation }): JSX.Element {
  const { told } = props;
  const counts = [props.source === undefined ? "" : `source ${number(props.source)}`, props.destination === undefined ? "" : `destination ${number(props.destination)}`].filter(Boolean).join(", ");
  return (
    <details class="flag">
      <summary><strong>{plain(props.flag, 20)}</strong> <span class="faint">{plain(told?.name, 60)}</span> {counts} {told?.class && <span class="tag">{plain(told.class, 20)}</span>}<br />{plain(told?.meaning, 600)}</summary>
      <List title="Usual causes" items={told?.causes} />
      <List title="Check" items={told?.check} />
    </details>
  );
}

function List(props: { title: string; items?: string[] | null }): JSX.Element | null {
  if (!props.items?.length) return null;
  return <><h4>{props.title}</h4><ol>{props.items.map((x) => <li key={x}>{plain(x, 400)}</li>)}</ol></>;
}

function Details(props: { detail: EdgeDetail }): JSX.Element {
  const { detail } = props;
  return (
    <>
      <Versions detail={detail} />
      <History detail={detail} />
      <Failures detail={detail} />
    </>
  );
}

function Versions(props: { detail: EdgeDetail }): JSX.Element | null {
  const others = (props.detail.versions ?? []).filter((v) => v.id !== props.detail.edge.id);
  if (others.length === 0) return null;
  const list = [props.detail.edge, ...others].sort((a, b) => (versionOf(a.source) + versionOf(a.destination)).localeCompare(versionOf(b.source) + versionOf(b.destination), "en", { numeric: true }));
  return (
    <section aria-label="Versions">
      <h3>Versions compared</h3>
      <div class="scroll" tabIndex={0} role="region" aria-label="Versions compared">
        <table>
          <thead><tr><th scope="col">Versions</th><th scope="col" class="number">Req/s</th><th scope="col" class="number">Errors</th><th scope="col" class="number">p50</th><th scope="col" class="number">p99</th><th scope="col">Flags</th></tr></thead>
          <tbody>{list.map((v) => (
            <tr key={v.id} class={v.id === props.detail.edge.id ? "chosen" : ""}>
              <td><button type="button" class="link" onClick={() => select(v.id)} aria-label={`${ends(v)}: ${versions(v)}`}>{versions(v)}</button></td>
              <td class="number">{number(v.rate)}</td><td class={`number ${failing(v) ? "many" : ""}`}>{failing(v) ? "✖ " : ""}{percent(v.errors)}</td>
              <td class="number">{ms(v.p50_ms)}</td><td class="number">{ms(v.p99_ms)}</td><td>{plain(flagsText(v.flags), 60) || "–"}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
    </section>
  );
}

function History(props: { detail: EdgeDetail }): JSX.Element {
  const history = props.detail.history ?? [];
  const data = useMemo(() => ({
    times: history.map((h) => Date.parse(h.at) / 1000), rate: history.map((h) => h.rate), errors: history.map((h) => 100 * h.errors), p99: history.map((h) => h.p99_ms ?? null),
  }), [props.detail.history]);
  const last = history.at(-1);
  const worst = Math.max(0, ...history.map((h) => h.errors)), slowest = Math.max(0, ...history.map((h) => h.p99_ms ?? 0));
  if (!last) return <section aria-label="The last hour"><h3>The last hour</h3><p class="faint">No minute is over yet.</p></section>;
  return (
    <section aria-label="The last hour">
      <h3>The last hour</h3>
      <h4>Requests per second</h4><Chart times={data.times} line={{ name: "rate", values: data.rate, color: "accent", unit: "" }} label={`Requests per second, last ${number(last.rate)}`} />
      <h4>Errors, %</h4><Chart times={data.times} line={{ name: "errors", values: data.errors, color: "bad", unit: "%" }} label={`Error share, last ${percent(last.errors)}, at most ${percent(worst)}`} />
      <h4>p99, ms</h4><Chart times={data.times} line={{ name: "p99", values: data.p99, color: "accent", unit: "" }} label={`p99 latency, last ${ms(last.p99_ms)}, at most ${ms(slowest)}`} />
    </section>
  );
}

function versions(e: Edge): string {
  return `${plain(versionOf(e.source), 30) || plain(nameOf(e.source), 40)} → ${plain(versionOf(e.destination), 30) || plain(nameOf(e.destination), 40)}`;
}
