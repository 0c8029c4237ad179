// Layouts are made in a worker, once for each shape of a lane; what changes every two seconds is only colours and widths.

import { boxHeight, boxWidth, type Lane } from "./model";

export interface Job {
  shape: string;
  boxes: { id: string; width: number; height: number }[];
  links: [string, string][];
}

export interface Answer {
  shape: string;
  width: number;
  height: number;
  boxes: Record<string, { x: number; y: number }>;
  bends: Record<string, [number, number][]>; // of lines that pass other boxes, by "from>to"
}

// door is the box of the IDC itself, before its ingress.
export const door = "\u0000idc";
export const doorWidth = 104;
export const doorHeight = 58;

const kept = 24; // layouts

const made = new Map<string, Answer>();
const asked = new Set<string>();
let worker: Worker | undefined;

// layoutOf is the lane's layout, or undefined until there is one; then ready is called.
export function layoutOf(lane: Lane, ready: () => void): Answer | undefined {
  const known = made.get(lane.shape);
  if (known || asked.has(lane.shape)) return known;
  asked.add(lane.shape);
  worker ??= start();
  worker.addEventListener("message", function took(message: MessageEvent<Answer>) {
    if (message.data.shape !== lane.shape) return;
    worker?.removeEventListener("message", took);
    asked.delete(lane.shape);
    made.set(lane.shape, message.data);
    for (const shape of made.keys()) {
      if (made.size <= kept) break;
      made.delete(shape);
    }
    ready();
  });
  const links: [string, string][] = [...new Map(lane.lines.map((l): [string, [string, string]] => [`${l.from}>${l.to}`, [l.from, l.to]])).values()];
  const boxes = lane.boxes.map((b) => ({ id: b.id, width: boxWidth, height: boxHeight(b) }));
  if (lane.boxes.some((b) => b.entry)) {
    boxes.push({ id: door, width: doorWidth, height: doorHeight });
    links.push(...lane.boxes.filter((b) => b.entry).map((b): [string, string] => [door, b.id]));
  }
  worker.postMessage({ shape: lane.shape, boxes, links } satisfies Job);
  return undefined;
}

interface Policies {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): { createScriptURL: (url: string) => string };
}

// start needs a trusted type where the browser knows them: this is the only script that the page ever loads by itself.
function start(): Worker {
  const policies = (window as { trustedTypes?: Policies }).trustedTypes;
  const policy = policies?.createPolicy("layout", { createScriptURL: () => "layout.js" });
  return new Worker(policy?.createScriptURL("") ?? "layout.js");
}
