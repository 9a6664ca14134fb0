/**
 * How many have read what is on screen, beside each message: in groups that are
 * too large for a mark of each reader.
 */
import type { Group } from "../../client-sdk/web/src/index.ts";
import { count, setText } from "./dom.ts";

/** Asked for this often, in milliseconds, while the page is looked at. */
const EVERY = 2_000;
/** Messages asked about at once, the last ones on screen. */
const MOST = 50;
/** Marks are shown in groups up to this many members. */
const SMALL = 200;

export class ReceiptsView {
  readonly #group: Group;
  readonly #rows: () => readonly HTMLLIElement[];
  readonly #timer: ReturnType<typeof setInterval>;
  #asking = false;

  /** `rows`: those of messages that are on screen. */
  constructor(group: Group, rows: () => readonly HTMLLIElement[]) {
    this.#group = group;
    this.#rows = rows;
    this.#timer = setInterval(() => void this.#look(), EVERY);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#asking || document.hidden || (this.#group.memberCount ?? 0) <= SMALL) return;
    const rows = this.#rows().slice(-MOST);
    if (rows.length === 0) return;
    const seqOf = (row: HTMLElement) => Number(row.dataset.seq);
    this.#asking = true;
    try {
      const { readers, members } = await this.#group.receipts(rows.map(seqOf));
      for (const row of rows) {
        const cell = row.querySelector<HTMLElement>(".read");
        if (cell === null) continue;
        const others = (readers.get(seqOf(row)) ?? 0) - 1; // its sender has, too
        setText(cell, others > 0 ? `read by ${count(others)}` : "");
        cell.title = `of ${count(members)} members`;
      }
    } catch {
      // The next look will do; the pane shows the connection's state.
    } finally {
      this.#asking = false;
    }
  }
}
