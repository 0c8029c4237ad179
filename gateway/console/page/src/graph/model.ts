// From edges to what is drawn: a lane per IDC, a box per app with a row per version, a line per edge. What has no room is folded.

import type { Edge, Funnel } from "../document";
import { nameOf, plain, versionOf } from "../text";
import { failing } from "../verdict";

export const rowHeight = 20;
export const headHeight = 26;
export const boxWidth = 184;
const mostBoxes = 36; // of a lane, unless all are asked for
const mostRows = 6; // of a box

export interface Row {
  version: string;
  rate: number; // of what it receives; of what it sends if it receives nothing
  errors: number; // share
}

export interface Box {
  id: string;
  name: string;
  outside: boolean; // of callers nobody knows
  rows: Row[];
  more: number; // versions without a row
  entry: boolean;
  rate: number;
  failing: boolean;
  matched: boolean;
}

export interface Line {
  edge: Edge;
  from: string; // id of the box
  fromRow: number;
  to: string;
  toRow: number;
}

export interface Lane {
  idc: string;
  boxes: Box[];
  lines: Line[];
  folded: number; // boxes that are not drawn
  shape: string; // equal for lanes that are laid out alike
}

// lanes is the graph of the edges that the filter takes. all says of which IDCs nothing is folded.
export function lanes(edges: Edge[], funnels: Funnel[], takes: (e: Edge) => boolean, all: Record<string, boolean>): Lane[] {
  const byIdc = new Map<string, Edge[]>();
  for (const e of edges) {
    const list = byIdc.get(e.idc);
    if (list) list.push(e);
    else byIdc.set(e.idc, [e]);
  }
  return [...byIdc].sort(([a], [b]) => a.localeCompare(b)).map(([idc, of]) => {
    const hops = funnels.find((f) => f.idc === idc)?.hops ?? [];
    const entries = new Set(hops.filter((h) => h.depth === 0).map((h) => h.to));
    return lane(idc, of, entries, takes, all[`lane ${idc}`] ?? false);
  });
}

function lane(idc: string, edges: Edge[], entries: Set<string>, takes: (e: Edge) => boolean, all: boolean): Lane {
  const boxes = new Map<string, Building>();
  for (const e of edges) {
    const matched = takes(e);
    const from = building(boxes, e.source), to = building(boxes, e.destination);
    from.matched ||= matched;
    to.matched ||= matched;
    add(from.sent, versionOf(e.source), e.rate, 0);
    add(to.received, versionOf(e.destination), e.rate, e.rate * e.errors);
    if (failing(e)) from.failing = to.failing = true;
    from.callees++;
    if (from !== to) to.callers++;
  }
  const anyEntry = [...boxes.values()].some((b) => entries.has(b.name));
  const done = [...boxes.values()].map((b) => finish(b, anyEntry ? entries.has(b.name) : b.callers === 0)).filter((b) => b.matched);
  const shown = (all ? done : worthiest(done, edges)).sort((a, b) => a.id.localeCompare(b.id));
  const byId = new Map(shown.map((b) => [b.id, b]));
  const lines = edges.filter(takes).flatMap((edge): Line[] => {
    const from = byId.get(boxId(edge.source)), to = byId.get(boxId(edge.destination));
    return from && to ? [{ edge, from: from.id, fromRow: rowOf(from, versionOf(edge.source)), to: to.id, toRow: rowOf(to, versionOf(edge.destination)) }] : [];
  }).sort((a, b) => a.edge.id.localeCompare(b.edge.id));
  return { idc, boxes: shown, lines, folded: done.length - shown.length, shape: shapeOf(shown, lines) };
}

interface Building {
  id: string;
  name: string;
  sent: Map<string, { rate: number; bad: number }>;
  received: Map<string, { rate: number; bad: number }>;
  callers: number;
  callees: number;
  failing: boolean;
  matched: boolean;
}

// boxId is never a name that all objects have, such as __proto__, whoever chose the app's: layouts have ids for keys.
const boxId = (peer: Edge["source"]): string => `app ${nameOf(peer)}`;

function building(boxes: Map<string, Building>, peer: Edge["source"]): Building {
  const id = boxId(peer);
  let b = boxes.get(id);
  if (!b) {
    b = { id, name: nameOf(peer), sent: new Map(), received: new Map(), callers: 0, callees: 0, failing: false, matched: false };
    boxes.set(id, b);
  }
  return b;
}

function add(to: Building["sent"], version: string, rate: number, bad: number): void {
  const row = to.get(version) ?? { rate: 0, bad: 0 };
  row.rate += rate;
  row.bad += bad;
  to.set(version, row);
}

function finish(b: Building, entry: boolean): Box {
  const versions = [...new Set([...b.received.keys(), ...b.sent.keys()])].sort((x, y) => x.localeCompare(y, "en", { numeric: true }));
  const rows = versions.map((version): Row => {
    const received = b.received.get(version), sent = b.sent.get(version);
    return { version: plain(version, 40), rate: received?.rate ?? sent?.rate ?? 0, errors: received && received.rate > 0 ? received.bad / received.rate : 0 };
  });
  const rate = rows.reduce((sum, r) => sum + r.rate, 0);
  return {
    id: b.id, name: plain(b.name, 60), outside: b.name === "unknown" && b.callers === 0, rows: rows.slice(0, mostRows), more: Math.max(0, rows.length - mostRows),
    entry, rate, failing: b.failing, matched: b.matched,
  };
}

// worthiest are the boxes that are drawn where there are too many: entries, what fails and what is busy, each with those between it and an entry.
function worthiest(boxes: Box[], edges: Edge[]): Box[] {
  if (boxes.length <= mostBoxes) return boxes;
  const byId = new Map(boxes.map((b) => [b.id, b]));
  const callers = callersOf(boxes, edges);
  const shown = new Set<Box>();
  for (const box of [...boxes].sort((a, b) => weight(b) - weight(a) || a.id.localeCompare(b.id))) {
    const way: Box[] = [];
    for (let at: Box | undefined = box; at && !shown.has(at); at = byId.get(callers.get(at.id) ?? "")) way.push(at);
    if (shown.size + way.length > mostBoxes) continue;
    for (const at of way) shown.add(at);
  }
  return [...shown];
}

// callersOf tells of each box by whom requests get there from an entry, on the shortest way, the busiest first.
function callersOf(boxes: Box[], edges: Edge[]): Map<string, string> {
  const calls = new Map<string, Edge[]>();
  for (const e of [...edges].sort((a, b) => b.rate - a.rate)) calls.set(boxId(e.source), [...calls.get(boxId(e.source)) ?? [], e]);
  const callers = new Map<string, string>();
  const ways = boxes.filter((b) => b.entry).map((b) => b.id);
  const seen = new Set(ways);
  for (let id = ways.shift(); id !== undefined; id = ways.shift()) {
    for (const e of calls.get(id) ?? []) {
      const to = boxId(e.destination);
      if (seen.has(to)) continue;
      seen.add(to);
      callers.set(to, id);
      ways.push(to);
    }
  }
  return callers;
}

const weight = (b: Box): number => (b.entry ? 1e12 : 0) + (b.failing ? 1e9 : 0) + b.rate;

const rowOf = (b: Box, version: string): number => Math.max(0, b.rows.findIndex((r) => r.version === plain(version, 40)));

export const boxHeight = (b: Box): number => headHeight + (b.rows.length + (b.more ? 1 : 0)) * rowHeight + 4;

const shapeOf = (boxes: Box[], lines: Line[]): string =>
  `${boxes.map((b) => `${b.id}:${boxHeight(b)}:${b.entry}`).join("\n")}\n\n${[...new Set(lines.map((l) => `${l.from}>${l.to}`))].join("\n")}`;
