// What a busy gateway would say: a mesh as large as it may be, and texts as bad as they may be.

const minute = 60_000;
const ago = (now, ms) => new Date(now - ms).toISOString();
const id = (n) => n.toString(16).padStart(16, "0");

// Repeats itself: the same at each run.
function random(seed) {
  return () => {
    seed = (seed * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return seed / 4_294_967_296;
  };
}

// Texts that an attacker may have the mesh report.
export const hostile = [
  `<img src=x onerror="window.pwned=1">`,
  `"><script>window.pwned=1</script>`,
  `javascript:window.pwned=1`,
  "\u202egnp.exe\u2066 \u200f\u061c",
  "\u0000\u0007\u001b[31mred\u001b[0m\r\n\u0085",
  "\ud800 half a pair \ufeff",
  "__proto__",
  "constructor",
  "{{constructor.constructor('window.pwned=1')()}}",
  "Z\u0351\u036b\u0343".repeat(200),
  "A".repeat(10_000),
];

// peers are the workloads: services in two versions, in layers.
function peers(services, name) {
  return Array.from({ length: services }, (_, n) => ["v1", "v2"].map((version) => {
    const app = n === 0 ? "ingress" : name(n);
    return { app, version, workload: `${app}-${version}`, namespace: "shop" };
  }));
}

const service = (peer) => `${peer.app}.shop.svc.cluster.local`;

function edge(n, idc, source, destination, seed) {
  const next = random(n * 7919 + seed);
  const failing = n % 97 === 5;
  return {
    id: id(n + 1), idc, source, destination: { ...destination, service: service(destination) }, protocol: n % 3 === 2 ? "grpc" : "http",
    rate: 5 + 200 * next(), errors: failing ? 0.05 + 0.3 * next() : 0.001 * next(), flags: failing ? { UF: 12, URX: 3 } : {}, destination_flags: {},
    p50_ms: 2 + 10 * next(), p99_ms: 20 + 200 * next(), loss: failing ? 0.02 : 0, usual_rate: 100, reporters: ["source", "destination"],
  };
}

// mesh has `services` services in two versions each and about `edges` edges in two data centres: layers of ten after the ingress.
export function mesh({ services = 300, edges = 1000, seed = 1, now = Date.now(), name = (n) => `service-${String(n).padStart(3, "0")}` } = {}) {
  const all = peers(services, name);
  const next = random(42);
  const made = [];
  for (let round = 0; made.length < edges; round++) {
    for (let n = 1; n < services && made.length < edges; n++) {
      const from = n <= 10 ? 0 : Math.max(1, n - 10 - Math.floor(20 * next()));
      const version = round % 2;
      made.push(edge(made.length, `idc${1 + (n + round) % 2}`, all[from][version], all[n][(n + version) % 2], seed));
    }
  }
  const hops = [["", "ingress"], ["ingress", name(1)], [name(1), name(11)], [name(11), name(25)]].map(([from, to], depth) => ({
    from, to, depth, rate: 1000 * 0.8 ** depth, usual_rate: 1000 * 0.8 ** depth, share: 0.8 ** depth, usual_share: 0.8 ** depth, loss: 0, drop: "", text: "",
  }));
  const dropped = hops.map((h) => ({ ...h }));
  Object.assign(dropped[2], {
    rate: 120, share: 0.12, loss: 0.8, drop: "lost", text: `Of the requests that ${name(1)} sends to ${name(11)} 80 % never arrive: look at the network between them.`,
  });
  return { at: new Date(now).toISOString(), window_seconds: 60, edges: made, funnels: [{ idc: "idc1", hops }, { idc: "idc2", hops: dropped }] };
}

function failover(now, text) {
  const judged = (health, why = "") => ({ health, since: ago(now, 3 * minute), why, act: true, out: health === "dead", down: health === "dead" });
  return {
    at: new Date(now).toISOString(),
    serving: {
      version: 17, at: ago(now, 3 * minute), degraded: false, out: { "machine/web-17": { drain: false, since: ago(now, 3 * minute), why: text } },
      idcs: { idc1: { entry: 5000, mesh: 5000, why: "" }, idc2: { entry: 5000, mesh: 5000, why: "" } },
    },
    subjects: [
      ...["idc1", "idc2"].flatMap((idc) => ["entry", "mesh"].map((part) => ({ subject: `idc/${idc}/${part}`, kind: "idc", idc, ...judged("healthy") }))),
      { subject: "machine/web-17", kind: "machine", idc: "idc1", ...judged("dead", text) },
    ],
    holds: [{ subject: "machine/web-18", action: "hold", by: text, why: text, at: ago(now, minute), until: ago(now, -60 * minute) }],
    frozen: {}, alarms: {}, shift: { id: "", by: "" },
  };
}

const probes = (now, text) => ({
  at: new Date(now).toISOString(),
  targets: Array.from({ length: 40 }, (_, n) => ({
    name: n === 3 ? text : `probe-${n}`, subject: `idc/idc${1 + n % 2}/entry`, module: "entry", prober: "http", target: `http://service-${n}.example.com/`, address: `192.0.2.${n}:80`,
    observer: "gateway", interval_seconds: 1, success: n !== 3, at: ago(now, 500), duration_ms: 12.5, error: n === 3 ? text : "",
    minutes: Array.from({ length: 10 }, (_, m) => ({ at: ago(now, (10 - m) * minute), ok: n === 3 ? 30 : 60, bad: n === 3 ? 30 : 0, p50_ms: 12 })),
  })),
  machines: { total: 10_000, answering: 9_999, down: [{ name: "web-17", since: ago(now, 3 * minute), error: text }] },
});

// overview is the whole answer. text stands wherever the mesh or people put theirs; without names sections, which are missing instead.
export function overview({ now = Date.now(), text = "connect: connection refused", without = [], ...size } = {}) {
  const sections = {
    mesh: mesh({ now, ...size }), failover: failover(now, text), probes: probes(now, text),
    dns: { serial: 2026112201, degraded: false, zones: [{ zone: "gslb.example.com.", names: [{ name: "api.gslb.example.com.", answer: "one", idcs: ["idc1", "idc2"].map((idc, n) => ({
      idc, entry: 5000, known: true, share: { A: 50 }, addresses: [`192.0.2.${n + 1}`],
    })) }] }] },
    plugins: { plugins: ["victoriametrics", "victorialogs", "rules"].map((name) => ({ name, kind: "storage", version: "1.0", state: "running", healthy: true, since: ago(now, 60 * minute), restarts: 0, last_error: "" })) },
    alerts: ["NoHealthyUpstream", "ErrorRatioHigh", text].map((alertname, n) => ({
      labels: { alertname, severity: n ? "warning" : "critical", idc: "idc1", source_app: text }, annotations: { summary: text, description: text },
      startsAt: ago(now, n * minute), endsAt: ago(now, -minute), fingerprint: id(n), status: { state: "active", silencedBy: [], inhibitedBy: [] }, receivers: [{ name: "everybody" }],
    })),
    silences: [{ id: "1", comment: text, createdBy: text, startsAt: ago(now, minute), endsAt: ago(now, -60 * minute), matchers: [{ name: "alertname", value: text, isRegex: false, isEqual: true }], status: { state: "active" } }],
    events: Array.from({ length: 200 }, (_, n) => ({ at: ago(now, (200 - n) * minute), kind: ["health", "diagnosis", "weights"][n % 3], subject: `machine/web-${n % 30}`, what: n % 50 === 7 ? text : "dead", why: text, who: n % 20 ? "" : text })),
    cluster: { name: "gateway", site: "berlin", members: [{ name: "gateway", site: "berlin", state: "alive", self: true, version: "1.0" }] },
  };
  const missing = {};
  for (const name of without) {
    delete sections[name];
    missing[name] = `HTTP 503: ${text}`;
  }
  return { at: new Date(now).toISOString(), version: "1.0", gateway: "gateway", refresh_seconds: 2, sections, missing };
}

// fleet is what failover and the receiver envoy answer of 10,000 machines and Envoys, to ?worst= and ?find=, as far as the page needs it.
export function fleet({ now = Date.now(), find = "", worst = 200 } = {}) {
  const size = 10_000, words = find.toLowerCase().split(/\s+/).filter(Boolean);
  const named = (kind, of) => Array.from({ length: size }, (_, n) => of(`${kind}${String(n).padStart(5, "0")}`, n)).filter(({ subject, id: node, idc }) => words.every((w) => `${subject ?? node} ${idc}`.includes(w)));
  const machines = named("machine/host-", (subject, n) => ({
    subject, kind: "machine", idc: `idc${1 + n % 2}`, act: true, since: ago(now, minute), ...(n % 100 === 50 ? { health: "dead", out: true, why: "connection refused" } : { health: "healthy", out: false }),
  })).sort((a, b) => Number(b.out) - Number(a.out));
  const nodes = named("sidecar~", (node, n) => ({ id: node, app: "web", idc: `idc${1 + n % 2}`, als_streams: 1, entries: n, ...(n % 500 === 7 ? { coverage: 0.5, thin: true } : {}) })).sort((a, b) => Number(b.thin ?? 0) - Number(a.thin ?? 0));
  const rest = machines.length - worst;
  return {
    failover: { ...failover(now, ""), subjects: [...words.length ? [] : failover(now, "").subjects, ...machines.slice(0, worst)], subjects_left_out: rest > 0 ? [{ kind: "machine", act: true, health: "healthy", out: false, count: rest }] : [] },
    nodes: { nodes: nodes.slice(0, worst), nodes_left_out: Math.max(0, nodes.length - worst) },
  };
}

// detail is the answer for one edge of an overview.
export function detail({ sections: { mesh } }, wanted, { now = Date.now(), text = "delayed_connect_error:_Connection_refused" } = {}) {
  const found = mesh.edges.find((e) => e.id === wanted) ?? mesh.edges[0];
  return {
    edge: found,
    versions: mesh.edges.filter((e) => e.id !== found.id && e.source.app === found.source.app && e.destination.app === found.destination.app && e.idc === found.idc),
    history: Array.from({ length: 60 }, (_, n) => ({ at: ago(now, (60 - n) * minute), rate: found.rate * (0.9 + (n % 5) / 25), errors: found.errors, p99_ms: found.p99_ms * (0.8 + (n % 7) / 20) })),
    failures: Array.from({ length: 20 }, (_, n) => ({
      time: ago(now, n * 1000), reporter: "source", status: 503, flags: "UF,URX", details: text, method: "GET", path: `/${text}`, authority: text, user_agent: text, request_id: text, trace_id: text,
      duration_ms: 1.5, upstream_host: "192.0.2.7:8080",
    })),
    logs: `_time:1h source_app:=ingress`,
  };
}

// explain is the answer for flags.
export const explain = (url) => ({
  flags: url.searchParams.get("flags").split(",").map((flag) => ({ flag, name: flag, class: "upstream", failure: true, meaning: "No connection.", causes: [flag], check: ["The port."] })),
  together: [],
});
