/** Exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", 2015). */
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS } from "./limits.ts";

/** Milliseconds to wait before try `attempt` (0, 1, …); `random` is in [0, 1). */
export function fullJitter(attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 16));
  return Math.floor(random() * ceiling);
}
