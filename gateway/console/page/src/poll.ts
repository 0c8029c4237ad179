// Asks for the overview: one request at a time, none while the page is hidden, rarer after each failure.

import type { Overview } from "./document";
import { search } from "./search";
import { serverNow, state, update, type State } from "./state";

const usual = 2000; // ms, unless the gateway says otherwise
const longest = 30_000; // between requests while the gateway fails
const patience = 10_000; // for one answer

let failures = 0;
let aging = 0; // the timer after which what is shown is old
let timer = 0;
let asking = false;
let tag = ""; // of the overview that is shown

export function poll(): void {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    if (Date.now() - state.now.heard > tooOld()) age();
    soon(0);
  });
  soon(0);
}

// refresh asks at once, such as after a change.
export function refresh(): void {
  soon(0);
}

function soon(ms: number): void {
  clearTimeout(timer);
  timer = window.setTimeout(ask, ms);
}

async function ask(): Promise<void> {
  if (asking || document.hidden) return;
  asking = true;
  try {
    // Not by the browser's cache: it would hide that an answer is an old one, whose "at" is no clock.
    const answer = await fetch("api/v1/overview", { cache: "no-store", signal: AbortSignal.timeout(patience), headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 304) {
      heard();
    } else {
      if (!answer.ok) throw new Error(await reason(answer));
      take(await answer.json() as Overview);
      tag = answer.headers.get("ETag") ?? "";
    }
    failures = 0;
  } catch (error) {
    failures++;
    update(() => ({ problem: failed(error) }));
  }
  asking = false;
  soon(wait());
}

const every = (): number => Math.min(60, Math.max(1, state.now.overview?.refresh_seconds ?? usual / 1000)) * 1000;

// tooOld is the age at which what is shown is not how it stands: the next answer should have come, even a slow one.
const tooOld = (): number => 2 * every() + 1000;

function age(): void {
  update((s) => ({ old: s.overview !== undefined }));
}

function wait(): number {
  return failures === 0 ? every() : Math.min(longest, every() * 2 ** Math.min(failures - 1, 5));
}

function take(overview: Overview): void {
  const at = Date.parse(overview.at);
  update(() => ({
    overview: { ...overview, sections: overview.sections ?? {} },
    ...fresh(), serverTime: Number.isFinite(at) ? at : Date.now(),
  }));
  search();
}

// heard is called when nothing has changed: its clock went on as ours did.
function heard(): void {
  update((s) => ({ serverTime: serverNow(s), ...fresh() }));
}

// fresh begins the time after which what was heard now is old.
function fresh(): Partial<State> {
  clearTimeout(aging);
  aging = window.setTimeout(age, tooOld());
  return { received: performance.now(), heard: Date.now(), old: false, problem: "" };
}

// reason is what an answer that is an error says.
export async function reason(answer: Response): Promise<string> {
  let text = "";
  try {
    text = (await answer.text()).slice(0, 2000);
    const body: unknown = JSON.parse(text);
    if (typeof body === "string") text = body;
    else if (body && typeof body === "object" && "error" in body) text = String(body.error);
    else if (body && typeof body === "object" && "message" in body) text = String(body.message);
  } catch { /* the text itself is the reason */ }
  return `HTTP ${answer.status}${text ? ": " + text : ""}`;
}

export function failed(error: unknown): string {
  if (error instanceof DOMException && error.name === "TimeoutError") return "the gateway did not answer in time";
  if (error instanceof TypeError) return "the gateway cannot be reached";
  return error instanceof Error ? error.message : String(error);
}
