// What the page can change. Each change is tried first where the gateway can tell what it would do, and is done when a person confirms.

import type { Hold, Plan } from "./document";
import { failed, reason, refresh } from "./poll";
import { keepToken, readToken, serverNow, state, update, type Change } from "./state";

export interface Wish {
  for: string; // 30m
  why: string;
  hard: boolean;
  percent: number; // of a shift
  from: number; // of a shift: the percent that the IDC had when the dialog was opened
  steps: boolean; // of a shift: halfway first
  long: boolean;
}

// Changed is what the gateway answers to a change of failover, or to one that is only tried.
export interface Changed {
  holds?: Hold[] | null;
  replaced?: Hold[] | null;
  released?: Hold[] | null;
  plan?: Plan | null;
  warnings?: string[] | null;
  saved?: boolean;
  problem?: string;
}

// Refused is what the gateway says to a change that it does not take; unknown tells that it does not take the token.
export class Refused extends Error {
  constructor(message: string, readonly unknown: boolean) {
    super(message);
  }
}

// send does a change, or with dry tries it.
export async function send(change: Change, wish: Wish, dry: boolean): Promise<Changed> {
  const why = wish.why.trim();
  switch (change.kind) {
    case "hold": case "eject": case "restore":
      return ask("POST", `api/v1/failover/hold${wish.long ? "/long" : ""}`, dry, {}, { subject: change.subject, action: change.kind, for: wish.for, hard: wish.hard, why });
    case "release":
      return ask("DELETE", "api/v1/failover/hold", dry, { subject: change.subject, why });
    case "shift":
      return ask("POST", "api/v1/failover/shift", dry, {}, shift(change.idc, wish));
    case "abort":
      return ask("DELETE", "api/v1/failover/shift", dry, { why });
    case "silence":
      return dry ? {} : ask("POST", "alertmanager/api/v2/silences", false, {}, silence(change.labels, wish));
    case "unsilence":
      return dry ? {} : ask("DELETE", `alertmanager/api/v2/silence/${encodeURIComponent(change.id)}`, false, {});
    case "token":
      return {};
  }
}

function shift(idc: string, wish: Wish): object {
  const to = { [idc]: wish.percent };
  return { to, for: wish.for, hard: wish.hard, why: wish.why.trim(), replace: true, ...(wish.steps ? { steps: [{ percent: half(wish), for: "1m" }] } : {}) };
}

const half = (wish: Wish): number => Math.round(50 * (wish.from + wish.percent)) / 100;

function silence(labels: Record<string, string>, wish: Wish): object {
  const matchers = Object.entries(labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
  const now = serverNow(state.now); // the gateway's clock is the one that counts
  return { matchers, startsAt: new Date(now).toISOString(), endsAt: new Date(now + seconds(wish.for) * 1000).toISOString(), createdBy: "console", comment: wish.why.trim() || "from the console" };
}

// seconds reads 90s, 30m, 1h30m; NaN when it is something else.
export function seconds(text: string): number {
  const match = /^(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?$/.exec(text.trim());
  const [h, m, s] = [match?.[1], match?.[2], match?.[3]];
  return match && (h || m || s) ? 3600 * Number(h ?? 0) + 60 * Number(m ?? 0) + Number(s ?? 0) : NaN;
}

async function ask(method: string, path: string, dry: boolean, query: Record<string, string>, body?: object): Promise<Changed> {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  if (dry) parameters.set("dry_run", "true");
  const token = readToken();
  let answer: Response;
  try {
    answer = await fetch(parameters.size ? `${path}?${parameters}` : path, {
      method, signal: AbortSignal.timeout(20_000), body: body ? JSON.stringify(body) : undefined,
      headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(body ? { "Content-Type": "application/json" } : {}) },
    });
  } catch (error) {
    throw new Refused(`${failed(error)}. Whether it was done is not known: look at the timeline`, false);
  }
  if (answer.status === 401) {
    keepToken("");
    throw new Refused(await reason(answer), true);
  }
  if (!answer.ok) throw new Refused(await reason(answer), false);
  const text = await answer.text();
  return text.trim().startsWith("{") ? JSON.parse(text) as Changed : {};
}

// done closes the dialog, tells what was done, and shows what came of it.
export function done(said: string): void {
  update(() => ({ change: undefined, said }));
  refresh();
}
