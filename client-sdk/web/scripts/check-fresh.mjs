// Fails when src/gen or dist is not what the sources make of it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
const scratch = mkdtempSync(join(root, "node_modules/.fresh-"));

const files = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
const run = (...args) => {
  if (spawnSync(process.execPath, args, { stdio: "inherit" }).status !== 0) process.exit(1);
};
const differs = (kept, made) => {
  const [a, b] = [files(kept), files(made)];
  const names = [...new Set([...a, ...b])];
  return names.filter(
    (name) => !a.includes(name) || !b.includes(name) || !readFileSync(join(kept, name)).equals(readFileSync(join(made, name))),
  );
};

try {
  run("scripts/generate.mjs", join(scratch, "gen"));
  run("scripts/build.mjs", join(scratch, "dist/folkmoot.js"));
  const stale = [
    ...differs("src/gen", join(scratch, "gen")).map((name) => `src/gen/${name}`),
    ...differs("dist", join(scratch, "dist")).map((name) => `dist/${name}`),
  ];
  if (stale.length > 0) {
    console.error(`stale: ${stale.join(", ")}; run \`npm run generate && npm run build\` and commit`);
    process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
