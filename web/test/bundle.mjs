// Bundles the fake demo for node and gives its module.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const sdk = join(here, "../../client-sdk/web");
export const require = createRequire(join(sdk, "package.json"));
export const dist = join(here, "../dist");

export async function fakeDemo() {
  const outfile = join(sdk, ".test-out/fake_demo.mjs");
  await require("esbuild").build({
    entryPoints: [join(here, "fake_demo.ts")],
    outfile, bundle: true, format: "esm", platform: "node", target: "node20", logLevel: "warning",
    nodePaths: [join(sdk, "node_modules")], external: ["ws"],
  });
  return import(pathToFileURL(outfile).href);
}
