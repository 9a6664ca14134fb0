/** Typed errors: the protocol's registry, and what can go wrong on this side. */
import { Code, CODES } from "./gen/codes.ts";
import type { Error as WireError } from "./gen/folkmoot/v1/client_pb.ts";

export { Code } from "./gen/codes.ts";

/** Codes below 100 are this client's own and never cross the wire. */
export const LocalCode = { Disconnected: 1, Closed: 2, QueueFull: 3, Protocol: 4, Chain: 5 } as const;

/** An error of the protocol or of this client. */
export class FolkmootError extends Error {
  /** Number in the registry of codes; below 100: of this client. */
  readonly code: number;
  /** Whether the same request may succeed later. */
  readonly temporary: boolean;
  /** When to try again, in milliseconds; 0: as the backoff says. */
  readonly retryAfterMs: number;

  constructor(code: number, name: string, message: string, temporary: boolean, retryAfterMs = 0) {
    super(message);
    this.code = code;
    this.name = name;
    this.temporary = temporary;
    this.retryAfterMs = retryAfterMs;
  }

  /** Of an error frame. */
  static fromWire(error: WireError): FolkmootError {
    return new FolkmootError(error.code, error.name, error.message, error.temporary, Number(error.retryAfterMs));
  }

  /** Of a code of the registry. */
  static of(code: number, retryAfterMs = 0): FolkmootError {
    const known = CODES[code as keyof typeof CODES] ?? {
      name: "unknown", temporary: false, message: `code ${code}, unknown to this client`,
    };
    return new FolkmootError(code, known.name, known.message, known.temporary, retryAfterMs);
  }
}

export const disconnected = (why: string): FolkmootError =>
  new FolkmootError(LocalCode.Disconnected, "disconnected", `the connection ended: ${why}`, true);
export const closedError = (): FolkmootError =>
  new FolkmootError(LocalCode.Closed, "closed", "this client was closed", false);
export const protocolError = (what: string): FolkmootError =>
  new FolkmootError(LocalCode.Protocol, "protocol", `the server broke the protocol: ${what}`, false);
export const deadlineError = (): FolkmootError => FolkmootError.of(Code.Deadline);

/** Any thrown value as a FolkmootError. */
export function asError(thrown: unknown): FolkmootError {
  if (thrown instanceof FolkmootError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new FolkmootError(Code.Internal, "internal", text, false);
}
