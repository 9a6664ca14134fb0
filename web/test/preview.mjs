// Serves the page over a fake demo, to look at it: node test/preview.mjs [LOG] [PORT]
import { readFileSync } from "node:fs";
import { dist, fakeDemo } from "./bundle.mjs";

const { FakeDemo } = await fakeDemo();
const [file, port] = process.argv.slice(2);
const demo = new FakeDemo(file === undefined ? undefined : readFileSync(file, "utf8"));
demo.step(300);
console.log(await demo.listen(dist, Number(port ?? 0)));
demo.run(1, 400);
