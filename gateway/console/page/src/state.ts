// The one state of the page, and the only way to change it: update() takes a function from the state to what changes in it.
// Data flows one way: the gateway's document -> state -> views; views call functions that update the state.

import type { EdgeDetail, Explanation } from "./detail";
import type { Failover, Nodes, Overview } from "./document";

export type SortKey = "trouble" | "source" | "destination" | "idc" | "rate" | "errors" | "p50_ms" | "p99_ms" | "loss";

// Change is a change that is being asked for; the dialog shows it.
export type Change =
  | { kind: "hold" | "eject" | "restore"; subject: string }
  | { kind: "release"; subject: string }
  | { kind: "silence"; labels: Record<string, string> }
  | { kind: "unsilence"; id: string; comment: string }
  | { kind: "shift"; idc: string }
  | { kind: "abort" }
  | { kind: "token" };

export interface Selected {
  id: string;
  detail?: EdgeDetail;
  explained?: { flags: Explanation[]; together: { flags: string[]; meaning: string }[] };
  problem?: string;
}

// Who is by what name and role the gateway takes a change; without a name it takes none, and why says why.
export interface Who {
  name: string;
  role: string;
  why?: string;
}

// Found is what the gateway has of a filter where the overview has the worst alone.
export interface Found {
  filter: string;
  failover?: Failover;
  nodes?: Nodes;
}

export interface State {
  overview?: Overview;
  received: number; // when the gateway was heard last, by performance.now(), which may stand still while the machine sleeps
  heard: number; // the same by Date.now(), which people may set
  serverTime: number; // what its clock said then, in ms since the epoch
  problem: string; // why the last request failed; empty: it did not
  filter: string;
  view: "graph" | "table";
  sort: { key: SortKey; down: boolean };
  showAll: Record<string, boolean>; // lists that are unfolded, by name
  selected?: Selected;
  change?: Change;
  help: boolean;
  who?: Who; // absent: not known yet
  old: boolean; // the gateway was not heard for longer than usual
  found?: Found; // of a filter
  said: string; // what came of the last change, for everybody incl. screen readers
}

export const state: { now: State } = {
  now: {
    received: 0, heard: 0, serverTime: 0, problem: "", filter: "", view: "graph", sort: { key: "trouble", down: true },
    showAll: {}, help: false, old: false, said: "",
  },
};

const listeners = new Set<() => void>();

export function update(change: (s: State) => Partial<State>): void {
  state.now = { ...state.now, ...change(state.now) };
  for (const listener of listeners) listener();
}

// subscribe calls listener after each change, until the function that it returns is called.
export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => { listeners.delete(listener); };
}

// serverNow is the gateway's clock, whatever this machine's says.
export function serverNow(s: State): number {
  return s.serverTime + (performance.now() - s.received);
}
