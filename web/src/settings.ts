/** What the demo tells its page: /demo.json, read every second. */

export interface PaneSettings {
  region: string;
  /** Name or number of the node. */
  node: string | number;
  /** Address of the edge's WebSocket. */
  ws: string;
  token: string;
  /** Text of the user's id. */
  user: string;
  /** The user's nick, when the demo tells it. */
  nick?: string;
  /** Whether the first group's home is this region. */
  home: boolean;
}

export interface GroupChoice {
  id: string;
  name: string;
  /** Region. */
  home?: string;
  head?: number;
}

export interface Progress {
  name?: string;
  total: number;
  done: number;
}

export interface Settings {
  cluster?: string;
  /** Id of the group to begin with. */
  group: string;
  name: string;
  panes: PaneSettings[];
  /** Regions that are cut off from the others. */
  cut?: string[];
  /** Regions and their round-trip time in milliseconds. */
  rtt?: [string, string, number][];
  replay?: Progress & { groups?: Progress[] | Record<string, Progress> };
  groups?: GroupChoice[];
}

/** Reads the settings. Throws an Error that says what to do. */
export async function readSettings(): Promise<Settings> {
  const response = await fetch("/demo.json", { cache: "no-store" });
  if (!response.ok) throw new Error(`/demo.json: ${response.status} ${response.statusText}`);
  const settings = (await response.json()) as Settings;
  if (!Array.isArray(settings.panes) || settings.panes.length === 0) throw new Error("/demo.json names no panes");
  return settings;
}

/** Cuts a region off from the others, or heals it. Throws an Error that says what to do. */
export async function setCut(region: number, cut: boolean): Promise<void> {
  const response = await fetch(`/regions/${region}/${cut ? "cut" : "heal"}`, { method: "POST" });
  if (!response.ok) throw new Error(`The region could not be ${cut ? "cut off" : "healed"}: ${response.status} ${response.statusText}`);
}

/** Progress by group, whichever way it is given. */
export function progressByGroup(replay: Settings["replay"]): Progress[] {
  const groups = replay?.groups;
  if (groups === undefined) return [];
  if (Array.isArray(groups)) return groups;
  return Object.entries(groups).map(([name, progress]) => ({ ...progress, name }));
}
