// A change: what it will do and for how long, a look at what would come of it, and only then the deed.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refused, done, seconds, send, type Changed, type Wish } from "../changes";
import { serverNow, state, update, type Change, type State } from "../state";
import { clock, plain, span } from "../text";
import { allowed, identify } from "../who";
import { Preview } from "./Preview";
import { Sign } from "./parts";

const close = (): void => update(() => ({ change: undefined }));

export function Dialog(props: { label: string; onClose: () => void; children: JSX.Element | JSX.Element[] }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
    return () => dialog.current?.close();
  }, []);
  return <dialog ref={dialog} aria-label={props.label} onCancel={(e) => { e.preventDefault(); props.onClose(); }}>{props.children}</dialog>;
}

export function ChangeDialog(props: { change: Change; s: State }): JSX.Element {
  const { change, s } = props;
  const [wish, setWish] = useState<Wish>({ for: "30m", why: "", hard: false, percent: 0, from: served(change, s), steps: false, abortIf: "", long: false });
  const [looked, setLooked] = useState<{ at: Wish; answer: Changed }>();
  const tried = looked?.at === wish ? looked.answer : undefined; // what was asked for meanwhile has not been looked at
  const [refused, setRefused] = useState("");
  const [busy, setBusy] = useState(false);
  const set = (part: Partial<Wish>): void => { setWish({ ...wish, ...part }); setRefused(""); };
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setRefused("");
    setBusy(true);
    try {
      const answer = await send(change, wish, !tried);
      if (tried) done(said(change, wish, answer, serverNow(state.now)));
      else {
        await new Promise((passed) => setTimeout(passed, 400)); // the second click of two is no confirmation
        setLooked({ at: wish, answer });
      }
    } catch (error) {
      setRefused(error instanceof Refused ? error.message : String(error));
      if (error instanceof Refused && error.unknown) setLooked(undefined);
    }
    setBusy(false);
  };
  useEffect(() => setRefused(""), [s.who?.name]);
  const title = titleOf(change);
  if (change.kind === "token" || !s.who?.name) return <TokenDialog then={change.kind === "token" ? "" : title} s={s} refused={refused} />;
  return (
    <Dialog label={title} onClose={close}>
      <form onSubmit={(e) => { void submit(e); }}>
        <h2>{title}</h2>
        <p>{meaning(change, s)}</p>
        {change.kind === "shift" && <ShiftFields wish={wish} set={set} idc={change.idc} />}
        {timed(change) && <Lasts wish={wish} set={set} />}
        <label>Why <input type="text" value={wish.why} maxLength={200} placeholder="ticket, name of the incident" onInput={(e) => set({ why: e.currentTarget.value })} /></label>
        {["hold", "eject", "shift"].includes(change.kind) && <label class="check"><input type="checkbox" checked={wish.hard} onChange={(e) => set({ hard: e.currentTarget.checked })} /> Hard: does not yield even when no other healthy IDC is left</label>}
        {tried && <Preview change={change} wish={wish} tried={tried} s={s} />}
        {refused && <p class="notice bad" role="alert"><Sign level="bad" /> {plain(refused, 1200)}</p>}
        <div class="buttons">
          <button type="button" onClick={close}>Cancel</button>
          <button type="submit" class={tried ? "danger" : "primary"} disabled={busy || (timed(change) && !(seconds(wish.for) > 0))}>{busy ? "…" : tried ? verb(change) : "Preview"}</button>
        </div>
      </form>
    </Dialog>
  );
}

const served = (c: Change, s: State): number => c.kind === "shift" ? (s.overview?.sections.failover?.serving?.idcs?.[c.idc]?.entry ?? 0) / 100 : 0;

const timed = (c: Change): boolean => ["hold", "eject", "restore", "silence", "shift"].includes(c.kind);

function Lasts(props: { wish: Wish; set: (part: Partial<Wish>) => void }): JSX.Element {
  return (
    <label>For how long <input type="text" list="spans" value={props.wish.for} required pattern="(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?" title="such as 30m or 1h30m"
      onInput={(e) => props.set({ for: e.currentTarget.value, long: seconds(e.currentTarget.value) > 86_400 })} />
      <datalist id="spans">{["5m", "15m", "30m", "1h", "4h", "8h", "24h"].map((x) => <option key={x} value={x} />)}</datalist>
    </label>
  );
}

function ShiftFields(props: { wish: Wish; set: (part: Partial<Wish>) => void; idc: string }): JSX.Element {
  return (
    <>
      <label>Share of {plain(props.idc, 60)}, in percent <input type="number" min={0} max={100} step="any" value={props.wish.percent} required onInput={(e) => props.set({ percent: e.currentTarget.valueAsNumber || 0 })} /></label>
      <label class="check"><input type="checkbox" checked={props.wish.steps} onChange={(e) => props.set({ steps: e.currentTarget.checked })} /> Halfway first, for a minute</label>
      <label>Abort if <input type="text" value={props.wish.abortIf} maxLength={300} placeholder="error_ratio=5%, p99=800ms, UF=1%" autocomplete="off" spellcheck={false} aria-describedby="abort-if"
        onInput={(e) => props.set({ abortIf: e.currentTarget.value })} /></label>
      <p id="abort-if" class="faint">Of what enters an IDC that gains: more failures, a slower p99, more of a response flag. Without one only an ill IDC ends it early.</p>
    </>
  );
}

function TokenDialog(props: { then: string; s: State; refused: string }): JSX.Element {
  const { who } = props.s;
  const [text, setText] = useState("");
  const [refused, setRefused] = useState(props.refused);
  const use = async (token: string): Promise<void> => {
    setRefused("");
    const problem = await identify(token);
    setRefused(problem);
    if (!problem && !props.then) close();
  };
  useEffect(() => {
    if (props.then && !allowed() && !props.refused) void identify(""); // a certificate may do
  }, []);
  return (
    <Dialog label="Token" onClose={close}>
      <form onSubmit={(e) => { e.preventDefault(); void use(text.trim()); }} autocomplete="off">
        <h2>Token</h2>
        <p>{props.then ? `“${props.then}” needs a token. ` : ""}It is one of extensions::console::tokens, says who you are, and is forgotten when this page is closed or loaded anew.</p>
        {who?.name ? <p>Changes are made by {plain(who.name, 80)}, {plain(who.role, 20)}.</p> : <></>}
        {refused ? <p class="notice bad" role="alert"><Sign level="bad" /> {plain(refused, 600)}</p> : <></>}
        <label>Token <input type="password" value={text} autocomplete="off" onInput={(e) => setText(e.currentTarget.value)} required={props.then !== ""} /></label>
        <div class="buttons">
          <button type="button" onClick={close}>Cancel</button>
          <button type="submit" class="primary">{text || props.then ? "Use it" : "Forget it"}</button>
        </div>
      </form>
    </Dialog>
  );
}

function titleOf(c: Change): string {
  switch (c.kind) {
    case "hold": return `Hold ${plain(c.subject, 120)} as it is`;
    case "eject": return `Eject ${plain(c.subject, 120)}`;
    case "restore": return `Restore ${c.subject === "*" ? "all that is out" : plain(c.subject, 120)}`;
    case "release": return `End the hold of ${plain(c.subject, 120)}`;
    case "silence": return `Silence ${plain(c.labels["alertname"], 80)}`;
    case "unsilence": return `End the silence “${plain(c.comment, 80)}”`;
    case "shift": return `Shift traffic of ${plain(c.idc, 60)}`;
    case "abort": return "End the shift that is on";
    case "token": return "Token";
  }
}

function meaning(c: Change, s: State): string {
  const subject = "subject" in c ? [...s.overview?.sections.failover?.subjects ?? [], ...s.found?.failover?.subjects ?? []].find((x) => x.subject === c.subject) : undefined;
  const observe = subject && !subject.act ? " Its kind is in mode observe: what a person asks for acts all the same." : "";
  switch (c.kind) {
    case "hold": return `It stays ${subject?.out ? "out" : "in"}, whatever is observed.${observe}`;
    case "eject": return (c.subject.startsWith("idc/") ? "It gets no traffic: the other IDCs take over, unless none of them is healthy." : "It gets no new requests, unless it is the last of its cluster.") + observe;
    case "restore": return `It is put back and held healthy, whatever is observed.${observe}`;
    case "release": return "What is observed of it counts again, at once.";
    case "silence": return "Nobody is told of alerts with exactly these labels. Nothing is repaired.";
    case "unsilence": return "Whoever is to be told of such alerts is told again.";
    case "shift": return "Moves the entry weights of DNS and edge routes; the other IDCs share the rest. When the time is over, what held before holds again.";
    case "abort": return "What held before it holds again, at once.";
    case "token": return "";
  }
}

function verb(c: Change): string {
  return { hold: "Hold it", eject: "Eject it", restore: "Restore it", release: "End the hold", silence: "Silence it", unsilence: "End the silence", shift: "Shift it", abort: "End the shift", token: "" }[c.kind];
}

function said(c: Change, wish: Wish, answer: Changed, now: number): string {
  const until = timed(c) ? `, until ${clock(now + seconds(wish.for) * 1000)} (${span(seconds(wish.for))})` : "";
  return `Done: ${titleOf(c)}${until}.${answer.problem ? ` ${plain(answer.problem, 300)}` : ""}`;
}
