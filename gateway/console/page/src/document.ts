// The shapes of what the gateway answers. All text in them may come from the mesh, and may have been made by an attacker:
// it is shown as text nodes only. Everything may be absent: an older gateway, a section that failed.

export interface Overview {
  at: string;
  version?: string;
  gateway?: string;
  refresh_seconds?: number;
  sections: Sections;
  missing?: Record<string, string>;
}

export interface Sections {
  mesh?: Mesh;
  nodes?: Nodes;
  xds?: { streams?: number; foreign?: { node: string; clusters?: string[] | null }[] | null };
  failover?: Failover;
  shift?: ShiftStatus;
  dns?: Dns;
  probes?: Probes;
  plugins?: { plugins?: Plugin[] | null };
  alerts?: Alert[];
  silences?: Silence[];
  events?: AuditEvent[];
  cluster?: Cluster;
}

export interface Peer {
  app?: string;
  version?: string;
  workload?: string;
  namespace?: string;
  service?: string;
}

export interface Edge {
  id: string;
  idc: string;
  source: Peer;
  destination: Peer;
  protocol?: string;
  rate: number;
  errors: number; // share of the requests
  flags?: Record<string, number> | null;
  destination_flags?: Record<string, number> | null;
  p50_ms?: number;
  p99_ms?: number;
  loss?: number;
  usual_rate?: number;
  reporters?: string[] | null;
}

export interface Hop {
  from: string;
  to: string;
  depth: number;
  rate: number;
  usual_rate?: number;
  share?: number;
  usual_share?: number;
  loss?: number;
  drop?: "" | "lost" | "quiet" | "telemetry";
  text?: string;
}

export interface Funnel {
  idc: string;
  hops?: Hop[] | null;
}

export interface Mesh {
  at?: string;
  window_seconds?: number;
  edges?: Edge[] | null;
  edges_left_out?: number;
  funnels?: Funnel[] | null;
}

export interface Hold {
  subject: string;
  action: string;
  hard?: boolean;
  by?: string;
  why?: string;
  at?: string;
  until?: string;
}

export interface Opinion {
  site?: string;
  health?: string;
  since?: string;
  why?: string;
  callers?: number;
  vetoed?: boolean;
}

export interface Subject {
  subject: string;
  kind: string;
  act?: boolean;
  idc?: string;
  health: string;
  since?: string;
  why?: string;
  out?: boolean;
  down?: boolean;
  provisional?: boolean;
  blocked?: string;
  hold?: string;
  opinions?: Opinion[] | null;
  held?: Hold | null;
  would_out?: boolean;
}

// LeftOut counts subjects that are not listed.
export interface LeftOut {
  kind: string;
  act: boolean;
  health: string;
  out: boolean;
  count: number;
}

export interface Weights {
  entry: number;
  mesh: number;
  why?: string;
}

export interface Serving {
  version?: number;
  degraded?: boolean;
  out?: Record<string, { drain?: boolean; since?: string; why?: string }> | null;
  idcs?: Record<string, Weights> | null;
}

export interface Failover {
  at?: string;
  serving?: Serving;
  would?: Serving;
  subjects?: Subject[] | null;
  subjects_left_out?: LeftOut[] | null; // there are more, which are better
  holds?: Hold[] | null;
  frozen?: Record<string, { since?: string; why?: string }> | null;
  alarms?: Record<string, string> | null;
  shift?: { id?: string; by?: string; entry?: Record<string, number> | null; mesh?: Record<string, number> | null; hard?: boolean } | null;
  state?: string;
}

export interface ShiftStatus {
  plan?: Plan | null;
  active?: boolean;
  entry?: Measured[] | null;
}

export interface Measured {
  idc: string;
  asked_percent: number;
  measured_percent?: number | null;
  requests?: number;
  rate?: number;
  failures?: number;
}

export interface Plan {
  id?: string;
  by?: string;
  why?: string;
  at?: string;
  expires?: string;
  scope?: string;
  abort_if?: { error_ratio?: number; flags?: Record<string, number> | null; p99_ms?: number; min_requests?: number } | null;
  steps?: { weights?: Record<string, number>; for?: string }[];
  base?: Record<string, number>;
  state?: string;
  stage?: number;
  note?: string;
}

export interface Dns {
  degraded?: boolean;
  error?: string;
  serial?: number;
  zones?: { zone: string; names?: DnsName[] | null }[] | null;
}

export interface DnsName {
  name: string;
  answer?: string;
  degraded?: boolean;
  idcs?: { idc: string; entry?: number; known?: boolean; share?: Record<string, number> | null; addresses?: string[] | null; why?: string }[] | null;
}

export interface ProbeTarget {
  name: string;
  subject?: string;
  module?: string;
  prober?: string;
  target?: string;
  address?: string;
  observer?: string;
  interval_seconds?: number;
  success?: boolean; // absent: nothing is known now
  since?: string;
  at?: string;
  duration_ms?: number;
  error?: string;
  minutes?: { at: string; ok: number; bad: number; p50_ms?: number }[] | null;
}

export interface Probes {
  at?: string;
  targets?: ProbeTarget[] | null;
  machines?: { total: number; answering: number; down?: { name: string; since?: string; error?: string }[] | null } | null;
}

export interface Plugin {
  name: string;
  kind?: string;
  version?: string;
  state: string;
  healthy?: boolean;
  since?: string;
  restarts?: number;
  last_error?: string;
  memory_bytes?: number;
  memory_limit_bytes?: number;
  binary_changed?: boolean;
  log_lines_dropped?: number;
  queues?: Queue[] | null;
}

export interface Queue {
  exporter?: string;
  signal?: string;
  unit?: string;
  size?: number;
  capacity?: number;
  oldest_seconds?: number; // how long the first in it has waited
}

export interface Alert {
  labels: Record<string, string>;
  annotations?: Record<string, string>;
  startsAt?: string;
  endsAt?: string;
  fingerprint?: string;
  status?: { state?: string; silencedBy?: string[] | null; inhibitedBy?: string[] | null };
  receivers?: { name?: string }[] | null;
}

export interface Silence {
  id: string;
  comment?: string;
  createdBy?: string;
  startsAt?: string;
  endsAt?: string;
  matchers?: { name: string; value: string; isRegex?: boolean; isEqual?: boolean }[] | null;
  status?: { state?: string };
}

export interface AuditEvent {
  at: string;
  kind: string;
  subject?: string;
  what?: string;
  why?: string;
  who?: string;
  undoes?: string;
  expires?: string;
}

export interface Cluster {
  name?: string;
  site?: string;
  members?: { name: string; site?: string; state?: string; since?: string; last_word?: string; version?: string; self?: boolean }[] | null;
  silent?: unknown[] | null;
}

export interface Nodes {
  nodes?: Envoy[] | null;
  nodes_left_out?: number;
}

export interface Envoy {
  id: string;
  app?: string;
  version?: string;
  idc?: string;
  als_streams?: number;
  entries?: number;
  coverage?: number; // absent: it does not tell
  thin?: boolean; // that is too little
}
