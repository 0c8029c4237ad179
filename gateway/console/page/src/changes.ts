// What the page can change. Each change is tried first where the gateway can tell what it would do, and is done when a person confirms.

import type { Hold, Plan } from "./document";
import { failed, reason, refresh } from "./poll";
import { serverNow, state, update, type Change } from "./state";
import { authorization, forget } from "./who";

export interface Wish {
  for: string; // 30m
  why: string;
  hard: boolean;
  percent: number; // of a shift
  from: number; // of a shift: the percent that the IDC had when the dialog was opened
  steps: boolean; // of a shift: halfway first
  abortIf: string; // of a shift: conditions as the command line has them
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
  const abort_if = conditions(wish.abortIf);
  return { to, for: wish.for, hard: wish.hard, why: wish.why.trim(), replace: true, ...(abort_if ? { abort_if } : {}), ...(wish.steps ? { steps: [{ percent: half(wish), for: "1m" }] } : {}) };
}

const half = (wish: Wish): number => Math.round(50 * (wish.from + wish.percent)) / 100;

function silence(labels: Record<string, string>, wish: Wish): object {
  const matchers = Object.entries(labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
  const now = serverNow(state.now); // the gateway's clock is the one that counts
  return { matchers, startsAt: new Date(now).toISOString(), endsAt: new Date(now + seconds(wish.for) * 1000).toISOString(), comment: wish.why.trim() || "from the console" };
}

// conditions reads error_ratio=5%, p99=800ms, UF=1%, min_requests=100. What it does not know it refuses; whether values are possible the gateway says.
export function conditions(text: string): object | undefined {
  const flags: Record<string, number> = {}, rest: Record<string, number> = {};
  const parts = text.split(/[\s,]+/).filter(Boolean);
  for (const part of parts) {
    const [, name, value, unit] = /^(\w+)=(\d+(?:\.\d+)?)(%|ms|s)?$/.exec(part) ?? [];
    const ratio = Number(value) / (unit === "%" ? 100 : 1), percent = !unit || unit === "%";
    if (name === "error_ratio" && percent) rest["error_ratio"] = ratio;
    else if (name === "p99" && unit && unit !== "%") rest["p99_ms"] = Number(value) * (unit === "s" ? 1000 : 1);
    else if (name === "min_requests" && !unit) rest["min_requests"] = Number(value);
    else if (name && /^[A-Z]+$/.test(name) && percent) flags[name] = ratio;
    else throw new Refused(`Abort if: “${part}” must be one of error_ratio=5%, p99=800ms, UF=1% (or another response flag), min_requests=100`, false);
  }
  return parts.length ? { ...rest, flags } : undefined;
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
  let answer: Response;
  try {
    answer = await fetch(parameters.size ? `${path}?${parameters}` : path, {
      method, signal: AbortSignal.timeout(20_000), body: body ? JSON.stringify(body) : undefined,
      headers: { ...authorization(), ...(body ? { "Content-Type": "application/json" } : {}) },
    });
  } catch (error) {
    throw new Refused(`${failed(error)}. Whether it was done is not known: look at the timeline`, false);
  }
  if (answer.status === 401) {
    forget();
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
