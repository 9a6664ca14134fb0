/** Who of a group is there, and who is writing: those whom the application watches. */
import { create } from "@bufbuild/protobuf";
import { disconnected } from "./errors.ts";
import { TypingSchema, WatchPresenceSchema, type Presences, type UserPresence } from "./gen/folkmoot/v1/client_pb.ts";
import { userIdBytes, userIdText } from "./ids.ts";
import type { Session } from "./session.ts";

/** How somebody is. */
export interface Presence {
  readonly user: string;
  /** Has a session somewhere, or had one seconds ago. */
  readonly online: boolean;
  /** Is writing in this group. */
  readonly typing: boolean;
}

export class PresenceWatch {
  readonly #group: Uint8Array;
  readonly #changed: () => void;
  #users: readonly string[] = [];
  #people = new Map<string, Presence>();
  #session: Session | undefined;

  /** Made by `Group`. */
  constructor(group: Uint8Array, changed: () => void) {
    this.#group = group;
    this.#changed = changed;
  }

  /** Those of the watched who are there. While disconnected: nobody. */
  get people(): ReadonlyMap<string, Presence> {
    return this.#people;
  }

  /**
   * From now on these members are watched, instead of those named before: name whom the user has on
   * screen, at most 500 over all groups. Whom the group does not have is passed over.
   */
  watch(users: Iterable<string>): void {
    const wanted = [...new Set(users)].sort();
    if (wanted.length === this.#users.length && wanted.every((user, at) => user === this.#users[at])) return;
    this.#users = wanted;
    const kept = new Set(wanted);
    for (const user of [...this.#people.keys()]) if (!kept.has(user)) this.#people.delete(user);
    void this.#ask();
  }

  /**
   * The own user is writing. It shows for six seconds: say it again every four or so while it goes
   * on. Rejects in groups of more than 200 members.
   */
  async typing(): Promise<void> {
    await this.#type(false);
  }

  /** The own user has stopped writing, other than by sending. */
  async stopped(): Promise<void> {
    await this.#type(true);
  }

  /** @internal The group is active in a session. */
  attach(session: Session): void {
    this.#session = session;
    if (this.#users.length > 0) void this.#ask();
  }

  /** @internal */
  detach(): void {
    this.#session = undefined;
    if (this.#people.size === 0) return;
    this.#people.clear();
    this.#changed();
  }

  /** @internal What the edge tells. */
  told(presences: Presences): void {
    presences.users.forEach((one) => this.#tell(one));
    this.#changed();
  }

  #tell({ user, online, typing }: UserPresence): void {
    const id = userIdText(user);
    if (online && this.#users.includes(id)) this.#people.set(id, { user: id, online, typing });
    else this.#people.delete(id);
  }

  async #ask(): Promise<void> {
    const [session, users] = [this.#session, this.#users];
    if (session === undefined) return;
    try {
      const value = create(WatchPresenceSchema, { group: this.#group, users: users.map(userIdBytes) });
      const answer = await session.request({ case: "watchPresence", value }, "presences");
      if (this.#session === session && this.#users === users) this.told(answer);
    } catch {
      // An edge that knows nothing of it: nobody is seen. Where the session has
      // ended, the next one asks again.
    }
  }

  async #type(stopped: boolean): Promise<void> {
    if (this.#session === undefined) throw disconnected("not connected now");
    const value = create(TypingSchema, { group: this.#group, stopped });
    await this.#session.request({ case: "typing", value }, "ok");
  }
}
