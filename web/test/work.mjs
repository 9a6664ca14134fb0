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

  /** Milliseconds of each task of the main thread, the longest first. */
  async end() {
    const complete = new Promise((resolve) => this.browser.on("Tracing.tracingComplete", resolve));
    await this.browser.call("Tracing.end");
    await complete;
    const named = this.events.filter((event) => event.name === "thread_name" && event.args?.name === "CrRendererMain");
    const main = new Set(named.map((event) => `${event.pid}/${event.tid}`));
    const tasks = this.events.filter((event) => event.ph === "X" && event.name.endsWith("RunTask") && main.has(`${event.pid}/${event.tid}`));
    return tasks.map((event) => (event.tdur ?? 0) / 1_000).sort((a, b) => b - a);
  }
}
