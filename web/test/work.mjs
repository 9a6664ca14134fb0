// What a page's main thread works at, by Chromium's trace. Processor time, not
// time on the clock: a busy machine makes no task longer.

export class Work {
  static async begin(browser) {
    const work = new Work();
    work.browser = browser;
    work.events = [];
    browser.on("Tracing.dataCollected", ({ value }) => work.events.push(...value));
    await browser.call("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories: ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"] } });
    return work;
  }

  /** Each task of the main thread, the longest first: milliseconds, and what was done in them. */
  async end() {
    const complete = new Promise((resolve) => this.browser.on("Tracing.tracingComplete", resolve));
    await this.browser.call("Tracing.end");
    await complete;
    const named = this.events.filter((event) => event.name === "thread_name" && event.args?.name === "CrRendererMain");
    const main = new Set(named.map((event) => `${event.pid}/${event.tid}`));
    const done = this.events.filter((event) => event.ph === "X" && main.has(`${event.pid}/${event.tid}`));
    const [tasks, parts] = [[], []];
    for (const event of done) (event.name.endsWith("RunTask") ? tasks : parts).push(event);
    const inside = (outer, inner) => inner.pid === outer.pid && inner.tid === outer.tid && inner.ts >= outer.ts && inner.ts + inner.dur <= outer.ts + outer.dur;
    // A task that runs another one is that other one's time twice.
    const longest = tasks.sort((a, b) => (b.tdur ?? 0) - (a.tdur ?? 0)).filter((task, at) => !tasks.slice(0, Math.min(at, SHOWN)).some((outer) => inside(outer, task)));
    return longest.map((task, at) => ({ ms: spent(task), parts: at < SHOWN ? summed(parts.filter((part) => inside(task, part))) : [] }));
  }
}

/** So many of the longest tasks are looked into. */
const SHOWN = 5;

const spent = (event) => (event.tdur ?? 0) / 1_000;

/** Milliseconds by name, the most first; a part that has others in it counts them too. */
function summed(parts) {
  const sums = new Map();
  for (const part of parts) {
    const data = part.args?.data ?? part.args?.beginData ?? {};
    const name = part.name === "FunctionCall" || part.name === "FireAnimationFrame" ? `${part.name} ${data.functionName ?? ""}` : part.name;
    sums.set(name, (sums.get(name) ?? 0) + spent(part));
  }
  return [...sums].filter(([, ms]) => ms >= 1).sort((a, b) => b[1] - a[1]).map(([name, ms]) => `${name.trim()} ${ms.toFixed(1)}`);
}
