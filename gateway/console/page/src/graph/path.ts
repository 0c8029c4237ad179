// Where lines run, how thick they are and what they look like.

import type { Edge } from "../document";
import type { Answer } from "./layout";
import { boxWidth, headHeight, rowHeight, type Line } from "./model";

export interface Drawn {
  d: string;
  x: number; // of the label
  y: number;
}

export function path(line: Line, at: Answer): Drawn | undefined {
  const from = at.boxes[line.from], to = at.boxes[line.to];
  if (!from || !to) return undefined;
  const y1 = from.y + headHeight + (line.fromRow + 0.5) * rowHeight, y2 = to.y + headHeight + (line.toRow + 0.5) * rowHeight;
  const x1 = from.x + boxWidth, x2 = to.x;
  if (line.from === line.to) return { d: `M${x1},${y1} c40,-34 40,40 0,${y2 - y1 + 8}`, x: x1 + 34, y: y1 };
  if (x2 <= x1) return backwards(x1, y1, x2, y2);
  const points: [number, number][] = [[x1, y1], ...(at.bends[`${line.from}>${line.to}`] ?? []), [x2 - 5, y2]];
  let d = `M${r(x1)},${r(y1)}`;
  for (let i = 1; i < points.length; i++) {
    const [px, py] = points[i - 1]!, [x, y] = points[i]!;
    const middle = (px + x) / 2;
    d += ` C${r(middle)},${r(py)} ${r(middle)},${r(y)} ${r(x)},${r(y)}`;
  }
  const last = Math.max(1, Math.floor(points.length / 2));
  const [ax, ay] = points[last - 1]!, [bx, by] = points[last]!;
  return { d, x: (ax + bx) / 2, y: (ay + by) / 2 };
}

// backwards goes around to a box that lies on the left, or in the same column.
function backwards(x1: number, y1: number, x2: number, y2: number): Drawn {
  const out = 36, low = Math.max(y1, y2) + 40;
  return {
    d: `M${r(x1)},${r(y1)} C${r(x1 + out)},${r(y1)} ${r(x1 + out)},${r(low)} ${r((x1 + x2) / 2)},${r(low)} S${r(x2 - out)},${r(y2)} ${r(x2 - 5)},${r(y2)}`,
    x: (x1 + x2) / 2, y: low,
  };
}

const r = (n: number): number => Math.round(n * 10) / 10;

// width grows with each power of ten of requests per second.
export const width = (rate: number): number => Math.min(7, 1.2 + 1.3 * Math.log10(1 + Math.max(0, rate)));

// trouble is how an edge is drawn: by colour and by pattern.
export function trouble(e: Edge): "fine" | "some" | "many" {
  if (e.errors >= 0.05) return "many";
  return e.errors >= 0.001 || (e.loss ?? 0) >= 0.05 ? "some" : "fine";
}
