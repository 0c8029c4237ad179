// The same edges as a table: sorted, filtered, and only the rows that are in sight are there.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Edge } from "../document";
import { select } from "../select";
import { update, type SortKey, type State } from "../state";
import { flagsText, ms, nameOf, number, percent, plain, versionOf } from "../text";
import { trouble } from "../graph/path";

const high = 32; // px of a row
const room = 480; // px of the window

const columns: [SortKey, string, boolean][] = [
  ["source", "Source", false], ["destination", "Destination", false], ["idc", "IDC", false], ["rate", "Req/s", true], ["errors", "Errors", true],
  ["trouble", "Flags", false], ["p50_ms", "p50", true], ["p99_ms", "p99", true], ["loss", "Loss", true],
];

export function sorted(edges: Edge[], sort: State["sort"]): Edge[] {
  const by: Record<SortKey, (e: Edge) => string | number> = {
    trouble: (e) => e.errors * e.rate + e.rate / 1e9, source: (e) => nameOf(e.source) + versionOf(e.source), destination: (e) => nameOf(e.destination) + versionOf(e.destination),
    idc: (e) => e.idc, rate: (e) => e.rate, errors: (e) => e.errors, p50_ms: (e) => e.p50_ms ?? -1, p99_ms: (e) => e.p99_ms ?? -1, loss: (e) => e.loss ?? -1,
  };
  const key = by[sort.key], sign = sort.down ? -1 : 1;
  return edges.map((e) => ({ e, k: key(e) }))
    .sort((a, b) => sign * (a.k < b.k ? -1 : a.k > b.k ? 1 : 0) || (a.e.id < b.e.id ? -1 : 1)).map((x) => x.e);
}

export function EdgeTable(props: { edges: Edge[]; sort: State["sort"]; selected?: string }): JSX.Element {
  const [top, scrolled] = useState(0);
  const list = sorted(props.edges, props.sort);
  const first = Math.max(0, Math.floor(top / high) - 8);
  const last = Math.min(list.length, Math.ceil((top + room) / high) + 8);
  return (
    <div class="scroll table" tabIndex={0} role="region" aria-label="Edges" onScroll={(e) => scrolled(e.currentTarget.scrollTop)}>
      <table class="edges" aria-rowcount={list.length + 1}>
        <thead><tr>{columns.map(([key, name, right]) => <Head key={key} by={key} name={name} right={right} sort={props.sort} />)}</tr></thead>
        <tbody>
          {first > 0 && <tr aria-hidden="true" style={{ height: `${first * high}px` }}><td colSpan={columns.length} /></tr>}
          {list.slice(first, last).map((e, i) => <Line key={e.id} e={e} index={first + i + 2} chosen={e.id === props.selected} />)}
          {last < list.length && <tr aria-hidden="true" style={{ height: `${(list.length - last) * high}px` }}><td colSpan={columns.length} /></tr>}
        </tbody>
      </table>
    </div>
  );
}

function Head(props: { by: SortKey; name: string; right: boolean; sort: State["sort"] }): JSX.Element {
  const on = props.sort.key === props.by;
  const turn = (): void => update((s) => ({ sort: { key: props.by, down: on ? !s.sort.down : props.right || props.by === "trouble" } }));
  return (
    <th scope="col" class={props.right ? "number" : ""} aria-sort={on ? (props.sort.down ? "descending" : "ascending") : "none"}>
      <button type="button" class="sort" onClick={turn}>{props.name}<span aria-hidden="true">{on ? (props.sort.down ? " ▼" : " ▲") : ""}</span></button>
    </th>
  );
}

function Line(props: { e: Edge; index: number; chosen: boolean }): JSX.Element {
  const { e } = props;
  const kind = trouble(e);
  return (
    <tr class={`${kind}${props.chosen ? " chosen" : ""}`} aria-rowindex={props.index}>
      <td><button type="button" class="link" onClick={() => select(e.id)}>{plain(nameOf(e.source), 60)}</button> <span class="faint">{plain(versionOf(e.source), 30)}</span></td>
      <td>{plain(nameOf(e.destination), 60)} <span class="faint">{plain(versionOf(e.destination), 30)}</span></td>
      <td>{plain(e.idc, 40)}</td>
      <td class="number">{number(e.rate)}</td>
      <td class={`number share ${kind}`}>{kind === "many" ? "✖ " : kind === "some" ? "▲ " : ""}{percent(e.errors)}</td>
      <td class={kind}>{plain(flagsText(e.flags), 60) || "–"}</td>
      <td class="number">{ms(e.p50_ms)}</td>
      <td class="number">{ms(e.p99_ms)}</td>
      <td class="number">{percent(e.loss)}</td>
    </tr>
  );
}
