// Of a large fleet the overview lists the worst alone. Who filters is to find the others, too: then the gateway is asked for them.

import { state, update } from "./state";
import type { Failover, Nodes, Sections } from "./document";

const most = 50; // of each that are asked for
const pause = 250; // ms without a key, before it is asked
let timer = 0;

export function filter(text: string): void {
  update(() => ({ filter: text }));
  search();
}

// search is called when the filter or the overview is another one.
export function search(): void {
  clearTimeout(timer);
  const { filter, overview, found } = state.now;
  if (found && found.filter !== filter) update(() => ({ found: undefined }));
  if (filter.trim() && overview && left(overview.sections)) timer = window.setTimeout(() => { void ask(filter); }, found ? 0 : pause);
}

const left = (s: Sections): boolean => (s.failover?.subjects_left_out ?? []).length > 0 || (s.nodes?.nodes_left_out ?? 0) > 0;

async function ask(filter: string): Promise<void> {
  const [failover, nodes] = await Promise.all([get<Failover>("api/v1/failover", filter), get<Nodes>("api/v1/nodes", filter)]);
  if (state.now.filter === filter) update(() => ({ found: { filter, failover, nodes } }));
}

// get is undefined where the gateway does not answer: the overview says why.
async function get<T>(path: string, filter: string): Promise<T | undefined> {
  try {
    const answer = await fetch(`${path}?${new URLSearchParams({ find: filter, worst: String(most) })}`, { signal: AbortSignal.timeout(10_000) });
    return answer.ok ? await answer.json() as T : undefined;
  } catch {
    return undefined;
  }
}
