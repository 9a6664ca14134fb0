//! Counts as people are shown them.

/// From here on nobody counts any more.
const MANY: u64 = 99;

/// How a number of unread messages is shown: nothing, the number, or `99+`.
///
/// ```
/// # use folkmoot_client::badge;
/// assert_eq!(badge(0), "");
/// assert_eq!(badge(99), "99");
/// assert_eq!(badge(100), "99+");
/// ```
#[must_use]
pub fn badge(unread: u64) -> String {
    match unread {
        0 => String::new(),
        1..=MANY => unread.to_string(),
        _ => format!("{MANY}+"),
    }
}
