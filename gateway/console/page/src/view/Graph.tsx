// The mesh as a graph: a lane per IDC, the IDC's door on the left, apps with a row per version, edges by rate, errors and flags.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Edge, Sections } from "../document";
import { door, doorHeight, doorWidth, layoutOf, type Answer } from "../graph/layout";
import { boxHeight, boxWidth, headHeight, rowHeight, type Box, type Lane, type Line } from "../graph/model";
import { path, trouble, width } from "../graph/path";
import { select } from "../select";
import { update } from "../state";
import { count, flagsText, number, percent, plain } from "../text";
import { ends } from "../verdict";
import { unfold } from "./parts";

export function Graph(props: { lanes: Lane[]; sections: Sections; selected?: string; all: Record<string, boolean> }): JSX.Element {
  return <div class="lanes">{props.lanes.map((lane) => <OneLane key={lane.idc} lane={lane} sections={props.sections} selected={props.selected} all={props.all} />)}</div>;
}

function OneLane(props: { lane: Lane; sections: Sections; selected?: string; all: Record<string, boolean> }): JSX.Element {
  const { lane } = props;
  const [focused, focus] = useState("");
  const name = `lane ${lane.idc}`;
  const layout = layoutOf(lane, () => update(() => ({})));
  const order = [...lane.lines].sort((a, b) => b.edge.errors * b.edge.rate - a.edge.errors * a.edge.rate || b.edge.rate - a.edge.rate);
  const stop = order.some((l) => l.edge.id === focused) ? focused : order[0]?.edge.id;
  const tags = layout ? tagsOf(lane.lines, layout) : new Map<string, Tag>();
  const move = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = order[(order.findIndex((l) => l.edge.id === stop) + step + order.length) % order.length];
    if (!next) return;
    focus(next.edge.id);
    (event.currentTarget as Element).querySelector<SVGGElement>(`[data-edge="${CSS.escape(next.edge.id)}"]`)?.focus();
  };
  return (
    <div class="lane" style={{ flexBasis: `${layout ? layout.width * 0.8 : 480}px` }}>
      <div class="lane-head">
        <h3>{plain(lane.idc, 60)}</h3>
        <span class="faint">{count(lane.boxes.length, "app")}, {count(lane.lines.length, "edge")}</span>
        {(lane.folded > 0 || props.all[name]) && (
          <button type="button" class="quiet" onClick={() => unfold(name, !props.all[name])}>
            {props.all[name] ? "Draw fewer" : `Draw the ${lane.folded} quieter apps, too`}
          </button>
        )}
      </div>
      {!layout ? <p class="faint drawing">Drawing …</p> : (
        <div class="scroll" role="group" aria-label={`Graph of ${plain(lane.idc, 60)}; arrow keys go from edge to edge, the worst first; Enter opens one`} onKeyDown={move}>
          <svg style={{ maxWidth: `${layout.width}px`, minWidth: `${0.68 * layout.width}px` }} viewBox={`0 0 ${layout.width} ${layout.height + 16}`}>
            {lane.lines.map((line) => <Arrow key={line.edge.id} line={line} at={layout} stop={line.edge.id === stop} chosen={line.edge.id === props.selected} focus={focus} />)}
            {[...tags].map(([id, tag]) => <Label key={id} {...tag} />)}
            <Door lane={lane} at={layout} sections={props.sections} />
            {lane.boxes.map((box) => <App key={box.id} box={box} at={layout} />)}
          </svg>
        </div>
      )}
    </div>
  );
}

function Arrow(props: { line: Line; at: Answer; stop: boolean; chosen: boolean; focus: (id: string) => void }): JSX.Element | null {
  const { edge } = props.line;
  const drawn = path(props.line, props.at);
  if (!drawn) return null;
  const kind = trouble(edge), thick = width(edge.rate);
  const open = (): void => { select(edge.id); };
  return (
    <g class={`edge ${kind}${props.chosen ? " chosen" : ""}`} data-edge={edge.id} role="button" tabindex={props.stop ? 0 : -1} aria-label={sentence(edge)}
      onClick={open} onFocus={() => props.focus(edge.id)} onKeyDown={(e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); open(); } }}>
      <title>{sentence(edge)}</title>
      <path class="touch" d={drawn.d} />
      <path class="line" d={drawn.d} stroke-width={thick} />
    </g>
  );
}

interface Tag {
  text: string;
  x: number;
  y: number;
  kind: string;
}

const wideOf = (text: string): number => text.length * 6.1 + 8;

// tagsOf are the labels of edges that fail, moved so that none covers another.
function tagsOf(lines: Line[], at: Answer): Map<string, Tag> {
  const found = lines.flatMap((line): [string, Tag][] => {
    const drawn = path(line, at);
    if (!drawn || trouble(line.edge) === "fine") return [];
    const flags = Object.entries(line.edge.flags ?? {}).sort((a, b) => b[1] - a[1]).slice(0, 2).map(([flag]) => plain(flag, 8)).join(",");
    return [[line.edge.id, { text: `${percent(line.edge.errors)}${flags ? ` ${flags}` : ""}`, x: drawn.x, y: drawn.y, kind: trouble(line.edge) }]];
  }).sort(([, a], [, b]) => a.y - b.y);
  const placed: Tag[] = [];
  for (const [, tag] of found) {
    for (const other of placed) {
      if (Math.abs(other.x - tag.x) < (wideOf(other.text) + wideOf(tag.text)) / 2 && Math.abs(other.y - tag.y) < 17) tag.y = other.y + 17;
    }
    placed.push(tag);
  }
  return new Map(found);
}

function Label(props: Tag): JSX.Element {
  const wide = wideOf(props.text);
  return (
    <g class={`tag-of ${props.kind}`} aria-hidden="true">
      <rect class="label" x={props.x - wide / 2} y={props.y - 8.5} width={wide} height={16} rx={3} />
      <text class="label" x={props.x} y={props.y + 3.5} text-anchor="middle">{props.text}</text>
    </g>
  );
}

// sentence is an edge for those who hear it.
export function sentence(e: Edge): string {
  const flags = flagsText(e.flags);
  return `${ends(e)}: ${number(e.rate)} requests per second, ${percent(e.errors)} errors${flags ? `, flags ${plain(flags)}` : ""}`;
}

function Door(props: { lane: Lane; at: Answer; sections: Sections }): JSX.Element | null {
  const place = props.at.boxes[door];
  if (!place) return null;
  const weights = props.sections.failover?.serving?.idcs?.[props.lane.idc];
  const out = weights?.entry === 0;
  return (
    <g class={out ? "door out" : "door"}>
      {props.lane.boxes.filter((b) => b.entry).map((b) => {
        const to = props.at.boxes[b.id];
        if (!to) return null;
        const y1 = place.y + doorHeight / 2, y2 = to.y + boxHeight(b) / 2, x1 = place.x + doorWidth, middle = (x1 + to.x) / 2;
        return <path key={b.id} class="way" d={`M${x1},${y1} C${middle},${y1} ${middle},${y2} ${to.x},${y2}`} />;
      })}
      <rect x={place.x} y={place.y} width={doorWidth} height={doorHeight} rx={8} />
      <text class="name" x={place.x + doorWidth / 2} y={place.y + 24} text-anchor="middle">{short(props.lane.idc, 13)}</text>
      <text class="more" x={place.x + doorWidth / 2} y={place.y + 43} text-anchor="middle">{weights ? (out ? "✖ entry 0 %" : `entry ${percent(weights.entry / 10_000)}`) : "entry unknown"}</text>
    </g>
  );
}

function App(props: { box: Box; at: Answer }): JSX.Element | null {
  const { box } = props;
  const place = props.at.boxes[box.id];
  if (!place) return null;
  const { x, y } = place;
  return (
    <g class={`app${box.failing ? " failing" : ""}${box.entry ? " entry" : ""}`}>
      <title>{box.outside ? "Callers that say nothing of themselves" : box.name}</title>
      <rect x={x} y={y} width={boxWidth} height={boxHeight(box)} rx={6} />
      <svg x={x} y={y} width={boxWidth - 6} height={headHeight}><text class="name" x={9} y={18}>{box.outside ? "outside" : short(box.name, 26)}</text></svg>
      {box.rows.map((row, i) => {
        const at = y + headHeight + i * rowHeight + 14;
        return (
          <g key={row.version} class={row.errors >= 0.05 ? "row many" : row.errors >= 0.001 ? "row some" : "row"}>
            <svg x={x} y={at - 14} width={72} height={rowHeight}><text x={9} y={14}>{short(row.version || "–", 11)}</text></svg>
            <text x={x + 122} y={at} text-anchor="end">{number(row.rate)}/s</text>
            <text class="share" x={x + boxWidth - 8} y={at} text-anchor="end">{row.errors >= 0.001 ? `${row.errors >= 0.05 ? "✖" : "▲"} ${percent(row.errors)}` : ""}</text>
          </g>
        );
      })}
      {box.more > 0 && <text class="faint" x={x + 9} y={y + headHeight + box.rows.length * rowHeight + 14}>and {box.more} more versions</text>}
    </g>
  );
}

const short = (text: string, most: number): string => text.length > most ? `${text.slice(0, most - 1)}…` : text;
