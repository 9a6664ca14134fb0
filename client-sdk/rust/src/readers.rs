//! How many have read, and who.

use bytes::Bytes;
use folkmoot_wire::limits;
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{GetReaders, GetReceipts, Readers, Receipts};

use crate::client::strange;
use crate::error::Result;
use crate::group::Group;

impl Group {
    /// How many have read each of these entries, or what comes behind it; its
    /// sender is one of them. At most 100 entries.
    ///
    /// # Errors
    /// When the group does not exist for this user, or it may not see one of
    /// the entries.
    pub async fn receipts(&self, seqs: &[u64]) -> Result<Receipts> {
        let request = Request::GetReceipts(GetReceipts {
            group: self.id.to_bytes(),
            seqs: seqs.to_vec(),
        });
        match self.client.call(request).await? {
            Body::Receipts(receipts) => Ok(receipts),
            other => Err(strange(&other)),
        }
    }

    /// Who has read an entry, in groups of up to 200 members. `after`: `next`
    /// of the page before; empty: the first. On a page there may be nobody:
    /// without `next` it was the last.
    ///
    /// # Errors
    /// When the group does not exist for this user or is larger, or it may not
    /// see the entry.
    pub async fn read_by(&self, seq: u64, after: Bytes) -> Result<Readers> {
        self.page_of_readers(seq, false, after).await
    }

    /// Of those who may see an entry, who has not read it, in groups of up to
    /// 10,000 members; pages as of [`Group::read_by`].
    ///
    /// # Errors
    /// As [`Group::read_by`].
    pub async fn not_read_by(&self, seq: u64, after: Bytes) -> Result<Readers> {
        self.page_of_readers(seq, true, after).await
    }

    async fn page_of_readers(&self, seq: u64, unread: bool, after: Bytes) -> Result<Readers> {
        let request = Request::GetReaders(GetReaders {
            group: self.id.to_bytes(),
            seq,
            unread,
            page: after,
            limit: limits::PAGE_ROWS,
        });
        match self.client.call(request).await? {
            Body::Readers(readers) => Ok(readers),
            other => Err(strange(&other)),
        }
    }
}
