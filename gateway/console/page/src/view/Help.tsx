// Keys, and what marks mean.

import type { JSX } from "preact";
import { update } from "../state";
import { Dialog } from "./ChangeDialog";
import { Sign } from "./parts";

const keys: [string, string][] = [
  ["/", "filter by app, version, IDC, flag or subject"], ["Esc", "close what is open, or clear the filter"], ["g", "graph or table of the mesh"], ["Tab", "to the next thing; in the graph the arrow keys go from edge to edge, the worst first"],
  ["Enter", "open the edge, or press the button"], ["?", "this"],
];

export function Help(): JSX.Element {
  const close = (): void => update(() => ({ help: false }));
  return (
    <Dialog label="Help" onClose={close}>
      <h2>Keys</h2>
      <dl class="facts">{keys.map(([key, what]) => <><dt><kbd>{key}</kbd></dt><dd>{what}</dd></>)}</dl>
      <h2>Marks</h2>
      <ul class="plain">
        <li><Sign level="ok" /> well</li><li><Sign level="warn" /> a warning; 0.1 % or more of an edge's requests fail: drawn with long dashes</li>
        <li><Sign level="bad" /> bad; 5 % or more fail: drawn with dots</li><li><Sign level="unknown" /> not known</li>
        <li>The thicker an edge, the more requests. All times are the gateway's, in your time zone.</li>
      </ul>
      <div class="buttons"><button type="button" class="primary" onClick={close}>Close</button></div>
    </Dialog>
  );
}
