/** Small helpers over the DOM. Text only ever goes in as text. */

type Child = Node | string | undefined;

/** Makes an element. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Record<string, string> = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const child of children) if (child !== undefined) element.append(child);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** Makes an SVG element. */
export function svg(tag: string, attributes: Record<string, string | number> = {}, text?: string): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The element with this id. Throws when the page has none. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element as T;
}

/** Sets text only where it differs, so that nothing is announced for nothing. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A hue for a name, always the same: FNV-1a, spread by the golden angle. */
export function hueOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return Math.round(((hash % 997) * 137.508) % 360);
}

const number = new Intl.NumberFormat("en");
/** A count with thousands set apart. */
export const count = (n: number): string => number.format(n);

const drawing = new Set<() => void>();
const measuring: (() => void)[] = [];
let asked = false;

function frame(): void {
  const draw = [...drawing];
  drawing.clear();
  for (const work of draw) run(work);
  for (const work of measuring.splice(0)) run(work);
  // What was asked for meanwhile, and is not done, is another frame's.
  asked = false;
  if (drawing.size + measuring.length > 0) ask();
}

/** What is wrong with one part of the page keeps no other from its turn. */
function run(work: () => void): void {
  try {
    work();
  } catch (error) {
    reportError(error);
  }
}

function ask(): void {
  if (asked) return;
  asked = true;
  requestAnimationFrame(frame);
}

/**
 * Gathers many calls into one before the next paint. What is drawn here asks
 * nothing of the layout: all parts of the page are drawn before any is measured,
 * or it would be laid out once for each.
 */
export function eachFrame(work: () => void): () => void {
  return () => {
    drawing.add(work);
    ask();
  };
}

/** Once all of a frame is drawn: for what depends on sizes and places. */
export function whenDrawn(work: () => void): void {
  measuring.push(work);
  ask();
}
