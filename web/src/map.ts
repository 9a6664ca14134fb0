/** A diagram of the regions and the round-trip times between them. */
import { svg } from "./dom.ts";

export interface MapRegion {
  name: string;
  home: boolean;
  online: boolean;
}

const WIDTH = 300;
const HEIGHT = 112;

function places(n: number): [number, number][] {
  if (n === 1) return [[WIDTH / 2, HEIGHT / 2]];
  if (n === 2) return [[60, HEIGHT / 2], [WIDTH - 60, HEIGHT / 2]];
  if (n === 3) return [[46, 84], [WIDTH / 2, 20], [WIDTH - 46, 84]];
  return Array.from({ length: n }, (_, i) => {
    const angle = Math.PI + (2 * Math.PI * i) / n;
    return [WIDTH / 2 + 108 * Math.cos(angle), HEIGHT / 2 + 38 * Math.sin(angle)] as [number, number];
  });
}

/** Draws the map anew when something of it changed. */
export function drawMap(target: Element, regions: MapRegion[], rtt: [string, string, number][]): void {
  const key = JSON.stringify([regions, rtt]);
  if (target.getAttribute("data-key") === key) return;
  target.setAttribute("data-key", key);
  target.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const at = new Map(places(regions.length).map((place, i) => [regions[i]?.name ?? "", place]));
  const lines: SVGElement[] = [];
  const labels: SVGElement[] = [];
  for (const [a, b, ms] of rtt) {
    const from = at.get(a);
    const to = at.get(b);
    if (from === undefined || to === undefined) continue;
    lines.push(svg("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: "link" }));
    const [x, y] = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
    const text = `${ms} ms`;
    labels.push(svg("rect", { x: x - 26, y: y - 9, width: 52, height: 18, rx: 9, class: "rtt-back" }));
    labels.push(svg("text", { x, y: y + 4, class: "rtt" }, text));
  }
  const dots = regions.flatMap(({ name, home, online }, i) => {
    const [x, y] = at.get(name) ?? [0, 0];
    return [
      ...(home ? [svg("circle", { cx: x, cy: y, r: 18, class: `ring region-${i % 6}` })] : []),
      svg("circle", { cx: x, cy: y, r: 14, class: `place region-${i % 6}${online ? "" : " offline"}` }),
      svg("text", { x, y: y + 4, class: "place-name" }, name),
    ];
  });
  target.replaceChildren(...lines, ...labels, ...dots);
  const spoken = rtt.map(([a, b, ms]) => `${a} to ${b} ${ms} milliseconds`).join(", ");
  const homes = regions.filter((r) => r.home).map((r) => r.name).join(", ");
  target.setAttribute("aria-label", `Regions: ${regions.map((r) => r.name).join(", ")}. Home: ${homes || "unknown"}. Round trips: ${spoken}`);
}
