// The shapes of what the gateway answers about one edge.

import type { Edge } from "./document";

export interface EdgeDetail {
  edge: Edge;
  versions?: Edge[] | null;
  history?: { at: string; rate: number; errors: number; p99_ms?: number }[] | null;
  failures?: Failure[] | null;
  logs?: string;
}

export interface Failure {
  time?: string;
  reporter?: string;
  status?: number;
  flags?: string;
  details?: string;
  method?: string;
  path?: string;
  authority?: string;
  user_agent?: string;
  request_id?: string;
  trace_id?: string;
  duration_ms?: number;
  upstream_host?: string;
}

export interface Explanation {
  flag: string;
  name?: string;
  class?: string;
  failure?: boolean;
  meaning?: string;
  causes?: string[] | null;
  check?: string[] | null;
  code?: string;
}
