// Bundles the tests and runs them with node's test runner.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
const names = readdirSync("test").filter((name) => name.endsWith(".test.ts"));
rmSync(".test-out", { recursive: true, force: true });
await build({
  entryPoints: names.map((name) => `test/${name}`),
  outdir: ".test-out",
  outExtension: { ".js": ".mjs" },
  bundle: true, format: "esm", platform: "node", target: "node20", sourcemap: "inline", logLevel: "warning",
});
const files = names.map((name) => `.test-out/${name.replace(/\.ts$/, ".mjs")}`);
const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", "--test-force-exit", "--test-timeout=60000", ...files], { stdio: "inherit" });
process.exit(run.status ?? 1);
