// An edge that is looked at: what is asked about it, and forgotten when it is closed.

import type { EdgeDetail, Explanation } from "./detail";
import { failed, reason } from "./poll";
import { state, update, type Selected } from "./state";

const every = 10_000; // ms
const explained = new Map<string, NonNullable<Selected["explained"]>>();
let timer = 0;
let back: Element | null = null; // what had the focus

export function select(id: string): void {
  back = document.activeElement;
  update(() => ({ selected: { id } }));
  clearTimeout(timer);
  void load(id);
}

export function close(): void {
  clearTimeout(timer);
  update(() => ({ selected: undefined }));
  if (back instanceof HTMLElement || back instanceof SVGElement) back.focus();
}

async function load(id: string): Promise<void> {
  if (!document.hidden) {
    try {
      const detail = await ask<EdgeDetail>(`api/v1/mesh/edge?id=${encodeURIComponent(id)}`);
      put(id, { detail, problem: undefined });
      await explain(id, detail);
    } catch (error) {
      put(id, { problem: failed(error) });
    }
  }
  if (state.now.selected?.id === id) timer = window.setTimeout(() => { void load(id); }, every);
}

async function explain(id: string, detail: EdgeDetail): Promise<void> {
  const flags = Object.keys({ ...detail.edge?.flags, ...detail.edge?.destination_flags }).sort().join(",");
  if (!flags) return;
  const known = explained.get(flags) ?? await ask<NonNullable<Selected["explained"]>>(`api/v1/explain?flags=${encodeURIComponent(flags)}`);
  explained.set(flags, known);
  put(id, { explained: { flags: known.flags ?? ([] as Explanation[]), together: known.together ?? [] } });
}

function put(id: string, change: Partial<Selected>): void {
  update((s) => s.selected?.id === id ? { selected: { ...s.selected, ...change } } : {});
}

async function ask<T>(path: string): Promise<T> {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) throw new Error(await reason(answer));
  return await answer.json() as T;
}
