// The mesh, as a graph or as a table.

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { Edge } from "../document";
import { lanes } from "../graph/model";
import { update, type State } from "../state";
import { count, nameOf, plain, versionOf } from "../text";
import { EdgeTable } from "./EdgeTable";
import { Graph } from "./Graph";
import { Missing, Section } from "./parts";

export function Mesh(props: { s: State }): JSX.Element {
  const { s } = props;
  const sections = s.overview?.sections ?? {};
  const edges = sections.mesh?.edges ?? [];
  const words = s.filter.toLowerCase();
  const takes = (e: Edge): boolean => taken(words, textOf(e));
  const few = useMemo(() => edges.filter(takes), [edges, words]);
  const drawn = useMemo(() => s.view === "graph" ? lanes(edges, sections.mesh?.funnels ?? [], takes, s.showAll) : [], [edges, words, s.showAll, s.view]);
  const note = sections.mesh ? `${count(few.length, "edge")}${words ? ` of ${edges.length}` : ""}, the last ${sections.mesh.window_seconds ?? 60} s${sections.mesh.edges_left_out ? `; ${sections.mesh.edges_left_out} more, with less traffic, are left out` : ""}` : undefined;
  return (
    <Section id="mesh" title="Mesh" wide note={note} tools={<Views view={s.view} />}>
      {!sections.mesh && <Missing what={s.overview ? "The mesh is not known" : "Nothing is known yet"} why={plain(s.overview?.missing?.["mesh"])} />}
      {sections.mesh && edges.length === 0 && <p class="faint">No traffic was seen. <code>lockkeeper snippet envoy</code> prints what an Envoy needs to report it.</p>}
      {edges.length > 0 && few.length === 0 && <p class="faint">No edge matches the filter.</p>}
      {few.length > 0 && (s.view === "graph" ? <Graph lanes={drawn.filter((l) => l.boxes.length > 0)} sections={sections} selected={s.selected?.id} all={s.showAll} /> : <EdgeTable edges={few} sort={s.sort} selected={s.selected?.id} />)}
      {s.view === "graph" && few.length > 0 && <Legend />}
    </Section>
  );
}

function Views(props: { view: State["view"] }): JSX.Element {
  return (
    <div class="switch" role="group" aria-label="Show the mesh as">
      {(["graph", "table"] as const).map((view) => (
        <button key={view} type="button" aria-pressed={props.view === view} onClick={() => update(() => ({ view }))}>{view === "graph" ? "Graph" : "Table"}</button>
      ))}
    </div>
  );
}

function Legend(): JSX.Element {
  const line = (kind: string, thick: number): JSX.Element => <svg class="sample" width="36" height="10" aria-hidden="true"><g class={`edge ${kind}`}><path class="line" d="M1,5 L35,5" stroke-width={thick} /></g></svg>;
  return <p class="legend faint">{line("fine", 2)} well {line("some", 2)} ▲ 0.1 % or more fail {line("many", 3)} ✖ 5 % or more fail; thicker: more requests</p>;
}

const texts = new WeakMap<Edge, string>();

function textOf(e: Edge): string {
  let text = texts.get(e);
  if (text === undefined) {
    text = [e.idc, nameOf(e.source), versionOf(e.source), nameOf(e.destination), versionOf(e.destination), e.destination.service, ...Object.keys(e.flags ?? {})].join(" ").toLowerCase();
    texts.set(e, text);
  }
  return text;
}

// taken tells whether all words of the filter are in a text.
export function taken(filter: string, text: string): boolean {
  return filter === "" || filter.toLowerCase().split(/\s+/).every((word) => text.toLowerCase().includes(word));
}
