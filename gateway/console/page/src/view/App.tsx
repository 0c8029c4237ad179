// The page: what is wrong first, then everything it is made of.

import type { JSX } from "preact";
import { useEffect, useReducer } from "preact/hooks";
import { serverNow, state, subscribe } from "../state";
import { verdict } from "../verdict";
import { Alerts } from "./Alerts";
import { ChangeDialog } from "./ChangeDialog";
import { EdgePanel } from "./EdgePanel";
import { Envoys } from "./Envoys";
import { Funnels } from "./Funnels";
import { Help } from "./Help";
import { Idcs } from "./Idcs";
import { Mesh, taken } from "./Mesh";
import { Out } from "./Out";
import { Gateways, Plugins } from "./Plugins";
import { Probes } from "./Probes";
import { Timeline } from "./Timeline";
import { Bar, Headline, Notices, Said } from "./Top";

export function App(): JSX.Element {
  const [, again] = useReducer((n: number, _: void) => n + 1, 0);
  useEffect(() => {
    let frame = 0; // several updates in a row are one drawing
    return subscribe(() => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        again();
      });
    });
  }, []);
  const s = state.now;
  const sections = s.overview?.sections ?? {}, missing = s.overview?.missing ?? {};
  const now = serverNow(s);
  const takes = (text: string): boolean => taken(s.filter, text);
  const common = { all: s.showAll, now, takes };
  const found = s.found?.filter === s.filter ? s.found : undefined;
  const edge = s.selected && sections.mesh?.edges?.find((e) => e.id === s.selected?.id);
  return (
    <>
      <a class="skip" href="#verdict">To the verdict</a>
      <Bar s={s} />
      <main aria-busy={!s.overview}>
        <Headline s={s} v={verdict(s.overview)} />
        <Said s={s} />
        <Notices s={s} />
        {s.overview && (
          <div class="cards">
            <Mesh s={s} />
            <div class="column">
              <Idcs sections={sections} missing={missing} now={now} />
              <Alerts alerts={sections.alerts} silences={sections.silences} why={missing["alerts"]} {...common} />
            </div>
            <div class="column">
              <Out failover={sections.failover} found={found?.failover} why={missing["failover"]} events={sections.events} filtered={s.filter !== ""} {...common} />
              <Probes probes={sections.probes} why={missing["probes"]} {...common} />
              <Plugins plugins={sections.plugins?.plugins ?? undefined} why={missing["plugins"]} now={now} />
            </div>
            <div class="column">
              <Funnels sections={sections} missing={missing} all={s.showAll} takes={takes} />
              <Envoys sections={sections} found={found?.nodes} missing={missing} all={s.showAll} takes={takes} />
              <Gateways cluster={sections.cluster} now={now} />
            </div>
            <Timeline events={sections.events} why={missing["events"]} {...common} />
          </div>
        )}
      </main>
      {s.selected && <EdgePanel selected={s.selected} edge={edge} />}
      {s.change && <ChangeDialog key={JSON.stringify(s.change)} change={s.change} s={s} />}
      {s.help && <Help />}
    </>
  );
}
