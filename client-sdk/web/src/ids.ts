/**
 * Ids and their text: the class letter and Crockford's base 32 of the other
 * bytes, lower case. The same as the wire crate's `id` and `id_text`.
 */

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** Length of a user or group id, in bytes. */
export const PLACED_LEN = 16;
/** Length of a message id, in bytes. */
export const MESSAGE_ID_LEN = 12;
const CLASS_AT = 4;
const CLASSES: Record<number, string> = { 1: "g", 2: "d", 3: "s", 4: "u" };

/** Text of `bytes`, most significant bits first. */
export function base32Encode(bytes: Uint8Array): string {
  let text = "";
  let window = 0;
  let bits = 0;
  for (const byte of bytes) {
    window = ((window << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(window >> bits) & 31];
    }
  }
  if (bits > 0) text += ALPHABET[(window << (5 - bits)) & 31];
  return text;
}

/**
 * Bytes of `text`; undefined unless it is exactly what `base32Encode` makes of
 * `length` bytes, so that an id has one text only.
 */
export function base32Decode(text: string, length: number): Uint8Array | undefined {
  if (text.length !== Math.ceil((length * 8) / 5)) return undefined;
  const bytes = new Uint8Array(length);
  let window = 0;
  let bits = 0;
  let at = 0;
  for (const c of text) {
    const value = ALPHABET.indexOf(c);
    if (value < 0) return undefined;
    window = ((window << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (window >> bits) & 255;
    }
  }
  return at === length && (window & ((1 << bits) - 1)) === 0 ? bytes : undefined;
}

function placedText(id: Uint8Array, what: string, classes: string): string {
  const letter = CLASSES[id[CLASS_AT] ?? 0];
  if (id.length !== PLACED_LEN || letter === undefined || !classes.includes(letter)) {
    throw new TypeError(`not a ${what}: ${id.length} bytes of class ${id[CLASS_AT]}`);
  }
  const rest = new Uint8Array(15);
  rest.set(id.subarray(0, CLASS_AT));
  rest.set(id.subarray(CLASS_AT + 1), CLASS_AT);
  return letter + base32Encode(rest);
}

function placedBytes(text: string, what: string, classes: string): Uint8Array {
  const letter = text.slice(0, 1);
  const rest = base32Decode(text.slice(1), 15);
  if (rest === undefined || letter === "" || !classes.includes(letter)) {
    throw new TypeError(
      `not a ${what}: ${JSON.stringify(text)} (a letter of "${classes}" and 24 characters of 0-9 a-z without i l o u)`,
    );
  }
  const id = new Uint8Array(PLACED_LEN);
  id.set(rest.subarray(0, CLASS_AT));
  id[CLASS_AT] = Number(Object.keys(CLASSES).find((k) => CLASSES[Number(k)] === letter));
  id.set(rest.subarray(CLASS_AT), CLASS_AT + 1);
  return id;
}

/** Text of a user id. Throws a TypeError when the bytes are no user id. */
export const userIdText = (id: Uint8Array): string => placedText(id, "user id", "u");
/** Bytes of a user id's text. Throws a TypeError when it is none. */
export const userIdBytes = (text: string): Uint8Array => placedBytes(text, "user id", "u");
/** Text of a group id (ordinary, direct or self group). Throws a TypeError when the bytes are none. */
export const groupIdText = (id: Uint8Array): string => placedText(id, "group id", "gds");
/** Bytes of a group id's text. Throws a TypeError when it is none. */
export const groupIdBytes = (text: string): Uint8Array => placedBytes(text, "group id", "gds");

/** Text of a message id (HLC, then node, big endian). Throws a TypeError when it is not 12 bytes. */
export function messageIdText(id: Uint8Array): string {
  if (id.length !== MESSAGE_ID_LEN) throw new TypeError(`a message id is 12 bytes, got ${id.length}`);
  return `m${base32Encode(id)}`;
}

/** Bytes of a message id's text. Throws a TypeError when it is none. */
export function messageIdBytes(text: string): Uint8Array {
  const id = text.startsWith("m") ? base32Decode(text.slice(1), MESSAGE_ID_LEN) : undefined;
  if (id === undefined) {
    throw new TypeError(`not a message id: ${JSON.stringify(text)} (m and 20 characters of 0-9 a-z without i l o u)`);
  }
  return id;
}

/** Text of a client message id. */
export const clientMsgIdText = (id: Uint8Array): string => `c${base32Encode(id)}`;

/**
 * Makes a client message id: the stamp that an edge issued, big endian, and 8
 * random bytes.
 */
export function newClientMsgId(stamp: bigint, random: Uint8Array = randomBytes(8)): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setBigUint64(0, stamp);
  id.set(random.subarray(0, 8), 8);
  return id;
}

/** Random bytes from the platform's generator. */
export function randomBytes(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** A device id: chosen once by the device, then kept. */
export function newDevice(): bigint {
  return new DataView(randomBytes(8).buffer).getBigUint64(0);
}

/** Milliseconds since 1970 of an HLC: its upper 48 bits. */
export const hlcMillis = (hlc: bigint): number => Number(hlc >> 16n);

/** Lower-case hex. */
export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

/** Whether two byte strings are equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
