// The page over a fake demo, in a headless Chromium.
import { Browser } from "./browser.mjs";
import { dist, fakeDemo } from "./bundle.mjs";

const { FakeDemo } = await fakeDemo();

/** So many lines of a log are said and `prepare` has made the demo ready; all panes are at one chain. */
export async function open(t, prepare, { log = undefined, lines = 60 } = {}) {
  const demo = new FakeDemo(log);
  const browser = await Browser.start();
  t.after(async () => {
    demo.close();
    await browser.close();
  });
  const address = await demo.listen(dist);
  demo.step(lines);
  prepare(demo);
  await browser.view(1280, 800, false);
  await browser.go(address);
  await browser.until(`document.querySelectorAll("[data-standing=same].pane").length === 3`, "three equal chains");
  return { demo, browser };
}
