// Numbers, times and names as people read them.

import type { Peer } from "./document";

export const dash = "–";

// number has three digits that count, and k for thousands.
export function number(value: number | undefined | null): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return dash;
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (size >= 10_000) return `${(value / 1e3).toPrecision(3)} k`;
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

export function percent(share: number | undefined | null): string {
  if (share === undefined || share === null || !Number.isFinite(share)) return dash;
  const value = 100 * share;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${value >= 10 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1)} %`;
}

export function ms(value: number | undefined | null): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return dash;
  return value >= 10_000 ? `${number(value / 1000)} s` : `${number(value)} ms`;
}

export function bytes(value: number | undefined): string {
  if (!value) return dash;
  return value >= 2 ** 30 ? `${number(value / 2 ** 30)} GiB` : `${(value / 2 ** 20).toFixed(value < 2 ** 20 ? 1 : 0)} MiB`;
}

// clock is a time of the gateway's, in the reader's time zone.
export function clock(time: string | number | undefined): string {
  const date = new Date(time ?? NaN);
  return Number.isNaN(date.getTime()) || date.getTime() <= 0 ? dash
    : [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

// span is a time that passes, in seconds: 42 s, 5 min, 3 h 10 min, 2 d.
export function span(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 90 * 60) return `${Math.round(s / 60)} min`;
  if (s < 36 * 3600) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.round(s / 86_400)} d`;
}

// ago is how long before now (of the same clock) a time was.
export function ago(time: string | undefined, now: number): string {
  const at = Date.parse(time ?? "");
  return Number.isNaN(at) || at <= 0 ? "" : `${span((now - at) / 1000)} ago`;
}

export function left(time: string | undefined, now: number): string {
  const at = Date.parse(time ?? "");
  return Number.isNaN(at) ? "" : at <= now ? "over" : `${span((at - now) / 1000)} left`;
}

const known = (part: string | undefined): part is string => !!part && part !== "unknown";

// nameOf is what an end of an edge is called.
export function nameOf(peer: Peer | undefined): string {
  return [peer?.app, peer?.workload, peer?.service].find(known) ?? "unknown";
}

export function versionOf(peer: Peer | undefined): string {
  return known(peer?.version) ? peer.version : "";
}

// placeOf is a workload and the namespace that it is in.
export function placeOf(peer: Peer): string {
  return `${plain(peer.workload, 80)}${known(peer.namespace) ? ` in ${plain(peer.namespace, 60)}` : ""}`;
}

// plain makes text of anybody harmless to read: no control or direction marks, and not longer than a line is worth.
export function plain(text: unknown, most = 300): string {
  const clean = String(text ?? "").slice(0, 4 * most).replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, "\ufffd");
  return clean.length > most ? `${clean.slice(0, most)}…` : clean;
}

export function flagsText(flags: Record<string, number> | undefined | null): string {
  return Object.entries(flags ?? {}).sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([flag, n]) => `${flag} ${number(n)}`).join(", ");
}

export function count(n: number, one: string, many = one + "s"): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}
