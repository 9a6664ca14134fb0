// A headless Chromium over its DevTools protocol, as far as the test needs it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { require } from "./bundle.mjs";

const { WebSocket } = require("ws");

export class Browser {
  static async start() {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), "folkmoot-browser-"));
    browser.process = spawn(process.env.CHROMIUM ?? "chromium", [
      "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors",
      "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0", `--user-data-dir=${browser.profile}`, "about:blank",
    ], { stdio: ["ignore", "ignore", "pipe"] });
    const address = await new Promise((resolve, reject) => {
      let text = "";
      browser.process.on("error", (error) => reject(new Error(`Chromium does not start (${error.message}): install it, or name it in CHROMIUM`)));
      browser.process.on("exit", (code) => reject(new Error(`Chromium ended with ${code}:\n${text}`)));
      browser.process.stderr.on("data", (data) => {
        text += data;
        const found = /DevTools listening on (ws:\S+)/.exec(text);
        if (found) resolve(found[1]);
      });
    });
    const { port } = new URL(address);
    const pages = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
    browser.socket = new WebSocket(pages.find((page) => page.type === "page").webSocketDebuggerUrl);
    browser.open = new Map();
    browser.next = 1;
    browser.faults = [];
    browser.heard = new Map();
    await new Promise((resolve) => browser.socket.once("open", resolve));
    browser.socket.on("message", (data) => browser.receive(JSON.parse(data)));
    await browser.call("Page.enable");
    await browser.call("Runtime.enable");
    await browser.call("Log.enable");
    return browser;
  }

  receive(message) {
    if (message.method === "Runtime.exceptionThrown") {
      this.faults.push(message.params.exceptionDetails.exception?.description ?? message.params.exceptionDetails.text);
    }
    if (message.method === "Log.entryAdded" && message.params.entry.source === "security") this.faults.push(message.params.entry.text);
    this.heard.get(message.method)?.(message.params);
    this.open.get(message.id)?.(message);
    this.open.delete(message.id);
  }

  /** Calls back on events of this kind, in place of who did before. */
  on(method, heard) {
    this.heard.set(method, heard);
  }

  async call(method, params = {}) {
    const id = this.next++;
    const answer = new Promise((resolve) => this.open.set(id, resolve));
    this.socket.send(JSON.stringify({ id, method, params }));
    const { error, result } = await answer;
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  async view(width, height, dark) {
    await this.call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    await this.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  }

  async go(url) {
    await this.call("Page.navigate", { url });
  }

  async value(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // Waits until the expression is true on the page.
  async until(expression, what) {
    for (let turn = 0; turn < 300; turn++) {
      if (await this.value(`Boolean(${expression})`)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`never came true on the page: ${what}`);
  }

  async click(selector) {
    await this.value(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }

  async type(selector, text) {
    await this.value(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    await this.call("Input.insertText", { text });
    for (const type of ["keyDown", "keyUp"]) await this.call("Input.dispatchKeyEvent", { type, key: "Enter", code: "Enter", windowsVirtualKeyCode: 13, text: type === "keyDown" ? "\r" : undefined });
  }

  async screenshot(path, full = false) {
    const { data } = await this.call("Page.captureScreenshot", { format: "png", captureBeyondViewport: full });
    writeFileSync(path, Buffer.from(data, "base64"));
  }

  async close() {
    // Its children hold the pipe: they write to the profile until they end too.
    const ended = new Promise((resolve) => this.process.once("close", resolve));
    this.process.stderr.resume();
    this.process.kill();
    await ended;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
