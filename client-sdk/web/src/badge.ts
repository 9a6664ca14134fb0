/** From here on nobody counts any more. */
const MANY = 99;

/** How a number of unread messages is shown: nothing, the number, or `99+`. */
export function badge(unread: number | bigint): string {
  if (unread <= 0) return "";
  return unread > MANY ? `${MANY}+` : String(unread);
}
