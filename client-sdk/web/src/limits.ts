/** Every limit of this client, in one place. Milliseconds and counts. */

/** Versions of the client protocol that this build speaks. */
export const VERSION_MIN = 1;
export const VERSION_MAX = 1;
/** A connection must reach Welcome within this time. */
export const CONNECT_DEADLINE_MS = 10_000;
/** A request without an answer fails with `deadline` after this time. */
export const REQUEST_DEADLINE_MS = 15_000;
/** Heartbeat until Welcome names one. */
export const HEARTBEAT_MS = 30_000;
/** A Ping must be answered within this time, or the connection is given up. */
export const PONG_DEADLINE_MS = 10_000;
/** Largest frame until Welcome names one, in bytes. */
export const FRAME_MAX = 256 * 1024;
/** Open requests of one session. More: `too_many_requests`. */
export const OPEN_REQUESTS = 256;
/** Reconnect backoff: a random time up to base × 2ⁿ, never over the cap. */
export const BACKOFF_BASE_MS = 250;
export const BACKOFF_CAP_MS = 10_000;
/** Messages of one group waiting to be committed. More: `send` refuses. */
export const OUTBOX_MAX = 1_000;
/** Entries of one history page. */
export const PAGE = 200;
/** Entries that a timeline holds unless told otherwise. Over: the oldest go. */
export const TIMELINE_ENTRIES = 5_000;
/** Pages of one catch-up without progress before it waits for the next push. */
export const FETCH_TRIES = 6;
/** Times a log whose chain does not verify is read anew before giving up. */
export const CHAIN_TRIES = 3;
/** Members held in memory; larger groups are paged by the caller. */
export const MEMBERS_MAX = 2_000;
/** An accepted message that nothing is heard of for so long is sent again. */
export const ACCEPTED_ASK_MS = 30_000;
/** Tentative messages of others that a group holds; more are not shown. */
export const TENTATIVE_MAX = 1_000;
