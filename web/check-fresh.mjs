// Fails when dist/ is not what the sources make of it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const kept = join(root, "dist");
const made = mkdtempSync(join(tmpdir(), "folkmoot-page-"));
try {
  const run = spawnSync(process.execPath, [join(root, "build.mjs"), made], { stdio: "inherit" });
  const names = [...new Set([...readdirSync(kept), ...readdirSync(made)])];
  const same = (name) => {
    try {
      return readFileSync(join(kept, name)).equals(readFileSync(join(made, name)));
    } catch {
      return false;
    }
  };
  const stale = names.filter((name) => !same(name));
  if (run.status !== 0 || stale.length > 0) {
    console.error(`stale: ${stale.map((name) => `web/dist/${name}`).join(", ")}; run \`npm run build\` in web and commit`);
    process.exitCode = 1;
  }
} finally {
  rmSync(made, { recursive: true, force: true });
}
