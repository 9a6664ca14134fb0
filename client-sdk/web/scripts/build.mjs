// Bundles the client into one ES module. Usage: node scripts/build.mjs [OUT]
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
await build({
  entryPoints: ["src/index.ts"],
  outfile: process.argv[2] ?? "dist/folkmoot.js",
  bundle: true, format: "esm", platform: "neutral", mainFields: ["module", "main"], target: "es2022",
  minify: true, legalComments: "none", charset: "utf8", logLevel: "warning",
});
