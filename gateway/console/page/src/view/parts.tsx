// Small things that all sections are made of.

import type { ComponentChildren, JSX } from "preact";
import { state, update } from "../state";
import { ago, clock } from "../text";
import type { Level } from "../verdict";

export function Section(props: { id: string; title: string; note?: string; wide?: boolean; tools?: ComponentChildren; children: ComponentChildren }): JSX.Element {
  return (
    <section id={props.id} aria-labelledby={`${props.id}-title`} class={props.wide ? "card wide" : "card"} tabIndex={-1}>
      <header class="card-head">
        <h2 id={`${props.id}-title`}>{props.title}</h2>
        {props.note && <p class="faint">{props.note}</p>}
        {props.tools && <div class="tools">{props.tools}</div>}
      </header>
      {props.children}
    </section>
  );
}

// Missing says why a section has nothing to show.
export function Missing(props: { what: string; why?: string }): JSX.Element {
  return <p class="missing"><Sign level="unknown" /> {props.what}{props.why ? `: ${props.why}` : "."}</p>;
}

const signs: Record<Level | "ok" | "unknown", [sign: string, name: string]> = {
  bad: ["✖", "bad"], warn: ["▲", "warning"], info: ["i", "note"], ok: ["✔", "well"], unknown: ["?", "not known"],
};

// Sign tells a level by its shape and a word, not by colour alone.
export function Sign(props: { level: keyof typeof signs }): JSX.Element {
  const [sign, name] = signs[props.level];
  return <span class={`sign ${props.level}`}><span aria-hidden="true">{sign}</span><span class="unseen">{name}: </span></span>;
}

export function When(props: { time?: string; now: number }): JSX.Element | null {
  const text = ago(props.time, props.now);
  return text ? <time dateTime={props.time} title={props.time}>{clock(props.time)} <span class="faint">({text})</span></time> : null;
}

// Some shows the first few of a list, and the others when asked.
export function Some<T>(props: { name: string; list: T[]; few: number; each: (item: T, index: number) => ComponentChildren; all: Record<string, boolean>; tag?: "ul" | "ol" }): JSX.Element {
  const all = props.all[props.name] ?? false;
  const shown = all ? props.list : props.list.slice(0, props.few);
  const Tag = props.tag ?? "ul";
  return (
    <>
      <Tag class="plain">{shown.map(props.each)}</Tag>
      {props.list.length > props.few && (
        <button type="button" class="quiet" aria-expanded={all} onClick={() => unfold(props.name, !all)}>
          {all ? "Show fewer" : `Show all ${props.list.length.toLocaleString("en")}`}
        </button>
      )}
    </>
  );
}

export function unfold(name: string, open: boolean): void {
  update((s) => ({ showAll: { ...s.showAll, [name]: open } }));
}

export function Ask(props: { label: string; children: ComponentChildren; change: NonNullable<typeof state.now.change> }): JSX.Element {
  return (
    <button type="button" class="quiet" aria-label={props.label} aria-haspopup="dialog" onClick={() => update(() => ({ change: props.change }))}>
      {props.children}
    </button>
  );
}
