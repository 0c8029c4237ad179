// The requests of an edge that failed last. All of it was chosen by whoever sent them.

import type { JSX } from "preact";
import type { EdgeDetail, Failure } from "../detail";
import { clock, ms, plain } from "../text";

export function Failures(props: { detail: EdgeDetail }): JSX.Element {
  const list = props.detail.failures ?? [];
  const logs = props.detail.logs;
  return (
    <section aria-label="Requests that failed">
      <h3>Requests that failed last</h3>
      {logs && <p><a href={`logs/select/vmui/#/?query=${encodeURIComponent(logs)}`} target="_blank" rel="noopener">All of them in the logs</a> <code>{plain(logs, 300)}</code></p>}
      {list.length === 0 && <p class="faint">None is remembered.</p>}
      <ol class="plain failures">{list.map((f, i) => <One key={`${f.time} ${f.request_id} ${i}`} f={f} />)}</ol>
    </section>
  );
}

function One(props: { f: Failure }): JSX.Element {
  const { f } = props;
  const more: [string, string][] = [
    ["details", plain(f.details, 300)], ["host", plain(f.upstream_host, 80)], ["request id", plain(f.request_id, 80)], ["trace id", plain(f.trace_id, 80)],
    ["user agent", plain(f.user_agent, 200)], ["told by", plain(f.reporter, 20)],
  ];
  return (
    <li>
      <details>
        <summary>
          <time dateTime={f.time}>{clock(f.time)}</time> <strong>{f.status || "–"}</strong> {plain(f.flags, 40)} <span class="request">{plain(f.method, 12)} {plain(f.authority, 100)}{plain(f.path, 200)}</span> <span class="faint">{ms(f.duration_ms)}</span>
        </summary>
        <dl class="facts">{more.filter(([, value]) => value).map(([name, value]) => <><dt>{name}</dt><dd>{value}</dd></>)}</dl>
      </details>
    </li>
  );
}
