//! The rows of a group on their way: all of them while they may still change,
//! and once they do not, those again that changed meanwhile.

use bytes::Bytes;
use folkmoot_storage::{Read, StoreError, log};
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::Row;
use prost::Message;

/// Rows in one command.
const PAGE: usize = 256;
/// Pages looked through at once.
const AT_ONCE: usize = 32;

/// Rows that were sent, between two keys.
struct Page {
    /// The key behind which it begins; it ends with that of the next one.
    after: Bytes,
    /// Of the rows as they were sent.
    hash: [u8; 32],
    /// There were no more.
    is_last: bool,
}

/// What to do about the rows.
pub(super) enum Next {
    Send(Vec<Row>),
    /// Ask again: there is more to look through.
    Again,
    /// All there were have arrived.
    All,
}

/// How far the rows are.
#[derive(Default)]
pub(super) struct Rows {
    /// In order of key, from the first row on.
    sent: Vec<Page>,
    /// All rows were sent once.
    whole: bool,
    /// Sent last, and not known to have arrived: page and last key.
    under_way: Option<(Option<Page>, Bytes)>,
    /// In the second walk: the page, and the key behind which to go on.
    at: usize,
    after: Bytes,
}

impl Rows {
    pub(super) fn next(
        &mut self,
        read: &dyn Read,
        group: &GroupId,
        fenced: bool,
    ) -> Result<Next, StoreError> {
        self.under_way = None;
        if fenced {
            self.again(read, group)
        } else {
            self.first(read, group)
        }
    }

    /// What was sent last has arrived.
    pub(super) fn arrived(&mut self) {
        let Some((page, last)) = self.under_way.take() else {
            return;
        };
        // Rows that come behind the last page do not keep the walk going.
        if page.as_ref().is_some_and(|page| page.is_last) {
            self.whole = true;
            self.after = Bytes::new();
        } else {
            self.after = last;
        }
        self.sent.extend(page);
    }

    fn first(&mut self, read: &dyn Read, group: &GroupId) -> Result<Next, StoreError> {
        if self.whole {
            return Ok(Next::All);
        }
        let rows = page(read, group, &self.after, PAGE)?;
        let Some(last) = rows.last().map(|row| row.key.clone()) else {
            self.whole = true;
            self.after = Bytes::new();
            return Ok(Next::All);
        };
        let page = Page {
            after: self.after.clone(),
            hash: hash(&rows),
            is_last: rows.len() < PAGE,
        };
        self.under_way = Some((Some(page), last));
        Ok(Next::Send(rows))
    }

    /// Without a whole first walk nothing is known, and all is sent.
    fn again(&mut self, read: &dyn Read, group: &GroupId) -> Result<Next, StoreError> {
        if !self.whole {
            self.sent.clear();
            self.after = Bytes::new();
            self.whole = true;
        }
        for _ in 0..AT_ONCE {
            let end = self.sent.get(self.at + 1).map(|next| next.after.clone());
            let mut rows = page(read, group, &self.after, PAGE + 1)?;
            if let Some(end) = &end {
                rows.retain(|row| row.key <= *end);
            }
            let as_sent = self
                .sent
                .get(self.at)
                .is_some_and(|page| page.after == self.after && page.hash == hash(&rows));
            rows.truncate(PAGE);
            match rows.last().map(|row| row.key.clone()) {
                Some(last) if !as_sent => {
                    self.under_way = Some((None, last));
                    return Ok(Next::Send(rows));
                }
                _ => {}
            }
            let Some(end) = end else {
                return Ok(Next::All);
            };
            self.at += 1;
            self.after = end;
        }
        Ok(Next::Again)
    }
}

fn page(
    read: &dyn Read,
    group: &GroupId,
    after: &[u8],
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let rows = log::read_rows(read, group, &[], after, limit)?;
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn hash(rows: &[Row]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        let bytes = row.encode_to_vec();
        hasher.update(&(bytes.len() as u32).to_be_bytes());
        hasher.update(&bytes);
    }
    *hasher.finalize().as_bytes()
}
