// The console page of Lockkeeper. It shows what one document of the gateway says, every two seconds, and asks for changes.
// Nothing it shows is ever taken for markup: the Content-Security-Policy forbids it to the whole page.

import { render } from "preact";
import { poll } from "./poll";
import { filter } from "./search";
import { close } from "./select";
import { state, update } from "./state";
import { App } from "./view/App";
import { identify } from "./who";

document.addEventListener("keydown", (event) => {
  const s = state.now;
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
  if (s.change || s.help || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (s.selected) close();
    else if (s.filter) filter("");
    else if (typing) (event.target as HTMLElement).blur();
  } else if (typing) {
    return;
  } else if (event.key === "/") {
    event.preventDefault();
    document.getElementById("filter")?.focus();
  } else if (event.key === "?") {
    update(() => ({ help: true }));
  } else if (event.key === "g") {
    update(() => ({ view: s.view === "graph" ? "table" : "graph" }));
  }
});

const root = document.getElementById("page");
if (root) render(<App />, root);
poll();
void identify(""); // a client certificate may be enough to change things
