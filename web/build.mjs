// Bundles the page into dist/. Usage: node build.mjs [OUT]
// The tools are those of client-sdk/web: run `npm ci` there first.
import { copyFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const { build } = createRequire(join(root, "../client-sdk/web/package.json"))("esbuild");
const out = resolve(root, process.argv[2] ?? "dist");

process.chdir(root);
mkdirSync(out, { recursive: true });
await build({
  entryPoints: ["src/demo.ts", "src/demo.css"],
  outdir: out,
  bundle: true, format: "esm", target: ["es2022", "chrome111", "firefox113", "safari16.4"],
  minify: true, legalComments: "none", charset: "utf8", logLevel: "warning",
});
copyFileSync("src/index.html", join(out, "index.html"));
