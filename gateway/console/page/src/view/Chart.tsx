// A chart of the last hour, in the theme's colours.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

export interface Line {
  name: string;
  values: (number | null)[];
  color: "accent" | "bad";
  unit: string;
}

export function Chart(props: { times: number[]; line: Line; label: string }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const data: uPlot.AlignedData = [props.times, props.line.values];
  useEffect(() => {
    const at = place.current;
    if (!at) return;
    plot.current = new uPlot(options(at, props.line), data, at);
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: at.clientWidth, height: 110 }));
    resized.observe(at);
    const theme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = (): void => plot.current?.redraw();
    theme.addEventListener("change", redraw);
    return () => {
      resized.disconnect();
      theme.removeEventListener("change", redraw);
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(data), [props.times, props.line.values]);
  return <div class={`chart ${props.line.color}`} role="img" aria-label={props.label} ref={place} />;
}

function options(at: HTMLElement, line: Line): uPlot.Options {
  // A canvas knows no light-dark(): so the colours are read where the style sheet has put them.
  const color = (property: "color" | "caretColor" | "outlineColor") => () => getComputedStyle(at)[property];
  const axis: uPlot.Axis = { stroke: color("caretColor"), grid: { stroke: color("outlineColor"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return {
    width: at.clientWidth || 400, height: 110, legend: { show: false }, cursor: { show: false }, padding: [8, 20, 0, 0],
    axes: [{ ...axis, size: 24, values: (_, times) => times.map((t) => new Date(1000 * t).toTimeString().slice(0, 5)), space: 60, incrs: [60, 120, 300, 600, 900, 1800] }, { ...axis, size: 46, space: 24, values: (_, ticks) => ticks.map((t) => `${t}${line.unit}`) }],
    scales: { y: { range: (_, __, max) => [0, Math.max(max ?? 0, line.unit === "%" ? 1 : 0.1) * 1.1] } },
    series: [{}, { stroke: color("color"), width: 1.6, fill: undefined, points: { show: lonely(line) } }],
  };
}

// A single minute makes no line: it is a point.
const lonely = (line: Line): boolean => line.values.filter((v) => v !== null).length < 3;
