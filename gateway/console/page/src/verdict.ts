// What one look must tell: everything that is wrong in the overview, the worst first, in sentences.

import type { Alert, AuditEvent, Edge, Failover, LeftOut, Overview, ProbeTarget, Sections, Subject } from "./document";
import { clock, count, nameOf, number, percent, plain, versionOf } from "./text";

export type Level = "bad" | "warn" | "info";

export interface Finding {
  level: Level;
  text: string;
  why?: string;
  to: string; // id of the section that says more
}

export interface Verdict {
  level: Level | "ok" | "unknown";
  headline: string;
  findings: Finding[];
}

const rank: Record<Level, number> = { bad: 0, warn: 1, info: 2 };

export function verdict(overview: Overview | undefined): Verdict {
  if (!overview) return { level: "unknown", headline: "Waiting for the gateway's first answer", findings: [] };
  const s = overview.sections;
  const findings = [
    ...idcs(s), ...holdUps(s.failover), ...machines(s), ...funnels(s), ...edges(s), ...alerts(s.alerts), ...plugins(s), ...probes(s),
    ...gateways(s), ...people(s), ...stale(overview),
  ].sort((a, b) => rank[a.level] - rank[b.level]);
  const first = findings[0];
  if (first && first.level !== "info") return { level: first.level, headline: first.text, findings };
  const gone = Object.values(overview.missing ?? {}).some((why) => !absent(why));
  if (!s.failover && !s.mesh) return { level: "unknown", headline: "Nothing is known: neither failover nor the mesh reports", findings };
  return { level: "ok", headline: gone ? "All that is known is well" : "All well", findings };
}

// stale tells of a mesh that nothing was added to for long: its figures are no longer how it stands.
function stale(overview: Overview): Finding[] {
  const at = overview.sections.mesh?.at;
  const late = at ? Date.parse(overview.at) - Date.parse(at) : 0;
  return late > 60_000 ? [{ level: "warn", text: `The mesh is shown as of ${clock(at)}: what came since is not counted yet`, why: "the receiver envoy hands its counts on to nobody", to: "mesh" }] : [];
}

// absent tells that nobody asked for a section, so that nothing is wrong.
export const absent = (why: string): boolean => why.includes("is not configured");

// short is a subject as people call it.
export function short(subject: string): string {
  const [kind, name, part] = subject.split("/");
  if (kind === "idc") return `${name} ${part ?? ""}`.trim();
  return plain(subject, 120);
}

export const subjects = (f: Failover | undefined): Subject[] => f?.subjects ?? [];
export const unwell = (s: Subject): boolean => s.health === "dead" || s.health === "gray";

function idcs(s: Sections): Finding[] {
  const of = subjects(s.failover).filter((x) => x.kind === "idc");
  const found: Finding[] = [];
  for (const x of of) {
    const at = x.held?.action === "eject" ? x.held.at : x.since;
    const since = at ? ` since ${clock(at)}` : "";
    const why = plain(x.why, 400);
    if (x.out) found.push({ level: "bad", text: `${short(x.subject)} is out${since}; ${serves(s)}`, why: why || held(x), to: "idcs" });
    else if (x.would_out && !x.act) found.push({ level: "bad", text: `${short(x.subject)} is ${x.health}${since} and would be out: mode observe, nothing is done`, why, to: "idcs" });
    else if (unwell(x)) found.push({ level: "bad", text: `${short(x.subject)} is ${x.health}${since} and still in`, why: plain(x.blocked) || why, to: "idcs" });
  }
  if (s.dns?.error) found.push({ level: "bad", text: "DNS answers do not follow what is served", why: plain(s.dns.error), to: "idcs" });
  return found;
}

const held = (x: Subject): string => x.held ? `${x.held.action} by ${plain(x.held.by, 80)}${x.held.why ? `: ${plain(x.held.why)}` : ""}` : "";

// serves says who gets what comes in.
function serves(s: Sections): string {
  const answered = (s.dns?.zones ?? []).flatMap((z) => z.names ?? []).flatMap((n) => n.idcs ?? []);
  const by = s.dns ? "DNS answers" : "traffic enters by";
  const weights: [string, number][] = s.dns ? answered.map((i) => [i.idc, i.entry ?? 0])
    : Object.entries(s.failover?.serving?.idcs ?? {}).map(([name, w]) => [name, w.entry]);
  const names = [...new Set(weights.filter(([, w]) => w > 0).map(([name]) => name))].sort();
  if (names.length === 0) return s.dns ? "DNS has no IDC with a weight" : "no IDC has a weight";
  return `${by} ${names.map((n) => plain(n, 60)).join(", ")}${names.length === 1 ? " only" : ""}`;
}

function holdUps(f: Failover | undefined): Finding[] {
  const frozen = Object.entries(f?.frozen ?? {}).map(([name, z]): Finding =>
    ({ level: "bad", text: `${plain(name, 120)} is frozen since ${clock(z.since)}: nothing more is taken out`, why: plain(z.why, 400), to: "out" }));
  const alarms = Object.entries(f?.alarms ?? {}).map(([name, text]): Finding =>
    ({ level: "bad", text: `Failover alarm: ${plain(text, 300)}`, why: plain(name, 80), to: "out" }));
  if (f?.state) alarms.push({ level: "warn", text: "Failover's state on disk has a problem", why: plain(f.state, 400), to: "out" });
  return [...frozen, ...alarms];
}

function machines(s: Sections): Finding[] {
  const all = subjects(s.failover).filter((x) => x.kind !== "idc" && x.kind !== "dns");
  const found: Finding[] = [];
  const left = (s.failover?.subjects_left_out ?? []).filter((x) => x.kind !== "idc" && x.kind !== "dns");
  const sick = (x: LeftOut): boolean => x.health === "dead" || x.health === "gray";
  const list = (of: Subject[], more: number): string => of.slice(0, 3).map((x) => short(x.subject)).join(", ") + (of.length + more > 3 ? ` and ${(of.length + more - 3).toLocaleString("en")} more` : "");
  const add = (of: Subject[], level: Level, says: string, unlisted: (x: LeftOut) => boolean = () => false): void => {
    const first = of[0];
    const more = left.filter(unlisted).reduce((n, x) => n + x.count, 0);
    if (first) found.push({ level, text: `${list(of, more)} ${of.length === 1 ? "is" : "are"} ${says}`, why: of.length === 1 && first.out && diagnosis(s.events, first)?.what ? plain(diagnosis(s.events, first)?.what, 500) : plain(first.blocked || first.why || held(first), 400), to: "out" });
    else if (more) found.push({ level, text: `${count(more, "machine or endpoint", "machines and endpoints")} ${more === 1 ? "is" : "are"} ${says}`, to: "out" });
  };
  const drained = s.failover?.serving?.out ?? {};
  add(all.filter((x) => x.out && !drained[x.subject]?.drain), "warn", "out: no new requests go there", (x) => x.out);
  add(all.filter((x) => x.out && drained[x.subject]?.drain), "warn", "drained: requests under way finish");
  add(all.filter((x) => !x.out && x.would_out && !x.act), "warn", "unwell and would be out: mode observe, nothing is done", (x) => !x.out && !x.act && sick(x));
  add(all.filter((x) => !x.out && unwell(x) && (x.act || !x.would_out)), "warn", "unwell and still in", (x) => !x.out && x.act && sick(x));
  add(subjects(s.failover).filter((x) => x.kind === "dns" && unwell(x)), "warn", "not answering what is served");
  return found;
}

function funnels(s: Sections): Finding[] {
  return (s.mesh?.funnels ?? []).flatMap((f) => (f.hops ?? []).filter((h) => h.drop).map((h): Finding => ({
    level: h.drop === "telemetry" ? "warn" : "bad", to: "funnels",
    text: plain(h.text, 300) || `${plain(f.idc, 60)}: requests from ${plain(h.from, 80)} to ${plain(h.to, 80)} fell (${h.drop})`,
  })));
}

// failing is whether an edge is worth waking somebody: many errors, and more than a stray request.
export const failing = (e: Edge): boolean => e.errors >= 0.05 && e.rate * e.errors >= 0.05;

function edges(s: Sections): Finding[] {
  const bad = (s.mesh?.edges ?? []).filter(failing).sort((a, b) => b.rate * b.errors - a.rate * a.errors);
  return bad.slice(0, 3).map((e, i): Finding => ({
    level: "warn", to: "mesh",
    text: `${plain(e.idc, 60)}: ${ends(e)}: ${percent(e.errors)} of requests fail`
      + (i === 2 && bad.length > 3 ? ` (and ${count(bad.length - 3, "more edge")})` : ""),
    why: `${number(e.rate)}/s${Object.keys(e.flags ?? {}).length ? `, flags ${Object.keys(e.flags ?? {}).sort().map((f) => plain(f, 20)).join(", ")}` : ""}`,
  }));
}

export function ends(e: Edge): string {
  const version = versionOf(e.destination);
  return `${plain(nameOf(e.source), 60)} → ${plain(nameOf(e.destination), 60)}${version ? ` ${plain(version, 30)}` : ""}`;
}

export const active = (a: Alert): boolean => a.status?.state !== "suppressed";

function alerts(all: Alert[] | undefined): Finding[] {
  const names = (of: Alert[]): string => [...new Set(of.map((a) => plain(a.labels["alertname"], 60)))].slice(0, 4).join(", ");
  const paging = (all ?? []).filter((a) => active(a) && ["page", "critical"].includes(a.labels["severity"] ?? ""));
  const other = (all ?? []).filter((a) => active(a) && !paging.includes(a));
  const found: Finding[] = [];
  const [only] = paging;
  const summary = plain(only?.annotations?.["summary"], 200);
  if (paging.length === 1 && summary) found.push({ level: "bad", text: `Alert ${names(paging)}: ${summary}`, to: "alerts" });
  else if (paging.length) found.push({ level: "bad", text: `${count(paging.length, "alert")} to page somebody: ${names(paging)}`, to: "alerts" });
  if (other.length) found.push({ level: "warn", text: `${count(other.length, "alert")}: ${names(other)}`, to: "alerts" });
  return found;
}

function plugins(s: Sections): Finding[] {
  return (s.plugins?.plugins ?? []).filter((p) => p.state !== "running" || p.healthy === false).map((p): Finding => ({
    level: "warn", to: "plugins", text: `Plugin ${plain(p.name, 60)} ${p.state === "running" ? "says it cannot work" : `is not running: ${plain(p.state, 40)}`}`, why: plain(p.last_error, 300),
  }));
}

function probes(s: Sections): Finding[] {
  const judged = new Set(subjects(s.failover).filter(unwell).map((x) => x.subject));
  const bad = (s.probes?.targets ?? []).filter((t) => t.success === false && !(t.subject && judged.has(t.subject)));
  const first = bad[0];
  return first ? [{
    level: "warn", to: "probes", why: plain(first.error, 300),
    text: `${count(bad.length, "probe")} ${bad.length === 1 ? "fails" : "fail"}: ${bad.slice(0, 3).map(probeName).join(", ")}`,
  }] : [];
}

// probeName is what a probe looks at; its own name is long.
export const probeName = (t: ProbeTarget): string => t.subject ? short(t.subject) : plain(t.name, 60);

function gateways(s: Sections): Finding[] {
  const away = (s.cluster?.members ?? []).filter((m) => !m.self && m.state && !["alive", "left"].includes(m.state));
  return away.map((m) => ({ level: "warn", to: "gateways", text: `Gateway ${plain(m.name, 60)} of ${plain(m.site, 60)} is ${plain(m.state, 40)} since ${clock(m.since)}` }));
}

function people(s: Sections): Finding[] {
  const found: Finding[] = [];
  const holds = s.failover?.holds ?? [];
  if (holds.length) found.push({ level: "info", to: "holds", text: `${count(holds.length, "hold")} by people: ${holds.slice(0, 3).map((h) => `${h.action} ${short(h.subject)}`).join(", ")}` });
  const shift = s.failover?.shift;
  if (shift?.id) found.push({ level: "info", to: "idcs", text: `Shift ${plain(shift.id, 60)} of ${plain(shift.by, 60)} is on` });
  return found;
}

// diagnosis is what was told last of a subject that went out, since it did.
export function diagnosis(events: AuditEvent[] | undefined, x: Subject): AuditEvent | undefined {
  const since = Date.parse(x.since ?? "") - 60_000;
  return events?.findLast((e) => e.kind === "diagnosis" && e.subject === x.subject && Date.parse(e.at) >= since);
}

// observed are the kinds of subjects that are only watched.
export function observed(f: Failover | undefined): string[] {
  return [...new Set([...subjects(f), ...f?.subjects_left_out ?? []].filter((x) => !x.act && x.kind !== "dns").map((x) => x.kind))].sort();
}
