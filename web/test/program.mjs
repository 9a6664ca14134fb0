// A demo's real nodes: FOLKMOOT names the program.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";

const program = process.env.FOLKMOOT;

export class Demo {
  // Its speakers go on while the page is looked at: a tenth of the delays keeps the replay short.
  static async start(...flags) {
    assert.ok(program, "FOLKMOOT names no program");
    const demo = new Demo();
    demo.process = spawn(program, ["demo", "--wan", "0.1", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    demo.ended = new Promise((resolve) => demo.process.once("exit", (code, signal) => resolve({ code, signal })));
    demo.told = "";
    for (const stream of [demo.process.stdout, demo.process.stderr]) stream.on("data", (data) => (demo.told += data));
    demo.address = await demo.tells(/the page: (http:\S+)/);
    return demo;
  }

  // Waits for it, so many tenths of a second.
  async tells(pattern, tenths = 1_200) {
    for (let turn = 0; turn < tenths; turn++) {
      const found = pattern.exec(this.told);
      if (found) return found[1];
      assert.equal(this.process.exitCode, null, `the demo ended early:\n${this.told}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the demo never told ${pattern}:\n${this.told}`);
  }

  async stop() {
    this.process.kill("SIGINT");
    return this.ended;
  }
}
