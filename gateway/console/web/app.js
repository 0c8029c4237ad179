// The page shows what two APIs say, every two seconds. All of it is written as text, never as markup.
"use strict";

const everyMs = 2000;

const byId = (id) => document.getElementById(id);

// element makes <tag class="kind">text</tag>; children may follow.
function element(tag, text, kind, ...children) {
  const node = document.createElement(tag);
  node.textContent = text;
  if (kind) node.className = kind;
  node.append(...children);
  return node;
}

const fixed = (value, digits) => Number.isFinite(value) ? value.toFixed(digits) : "–";

// party is one end of an edge: its name, and beside it what tells it from its namesakes.
function party(end) {
  const known = (part) => part && part !== "unknown";
  const name = [end.app, end.workload, end.service].find(known) || "unknown";
  const more = [end.version, end.namespace, end.service].filter((part) => known(part) && part !== name);
  return element("td", name, "", element("span", more.length ? " " + more.join(" · ") : "", "faint"));
}

function row(edge) {
  const flags = Object.entries(edge.flags || {}).sort().map(([flag, count]) => `${flag} ${count}`).join(", ");
  const failing = edge.errors > 0;
  return element("tr", "", "",
    party(edge.source || {}),
    element("td", edge.idc || "–"),
    party(edge.destination || {}),
    element("td", edge.reporter || ""),
    element("td", edge.protocol || ""),
    element("td", fixed(edge.rate, 1), "number"),
    element("td", fixed(100 * edge.error_share, 1) + " %", failing ? "number bad" : "number"),
    element("td", flags || "–", flags ? "bad" : "faint"),
    element("td", fixed(edge.p50_ms, 1), "number"),
    element("td", fixed(edge.p99_ms, 1), "number"));
}

function showEdges(state) {
  const edges = state.edges || [];
  byId("edges").replaceChildren(...edges.map(row));
  byId("table").hidden = edges.length === 0;
  const at = new Date(state.at).toLocaleTimeString();
  byId("status").textContent = edges.length === 0
    ? `No traffic was seen in the last ${state.window_seconds} s (${at}). "lockkeeper snippet envoy" prints what an Envoy needs to report it.`
    : `${edges.length} edges, the last ${state.window_seconds} s, at ${at}.`;
}

function showPlugins(state) {
  const items = (state.plugins || []).map((plugin) => element("span",
    `${plugin.name}: ${plugin.state}${plugin.restarts ? `, restarted ${plugin.restarts} ×` : ""} `,
    plugin.state === "running" ? "faint" : "bad"));
  byId("plugins").replaceChildren(...items);
}

async function load(path, show, failed) {
  try {
    const answer = await fetch(path, { signal: AbortSignal.timeout(5 * everyMs) });
    if (!answer.ok) throw new Error(answer.status === 404 ? "nothing here reports it" : `HTTP ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    failed(`${path}: ${error.message}`);
  }
}

async function refresh() {
  await Promise.all([
    load("api/v1/edges", showEdges, (reason) => { byId("status").textContent = reason; }),
    load("api/v1/plugins", showPlugins, (reason) => byId("plugins").replaceChildren(element("span", reason, "bad"))),
  ]);
  setTimeout(refresh, everyMs);
}

refresh();
