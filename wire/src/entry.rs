//! The sealed entry (D6): a chain over header and body bytes.
//!
//! `chain = H(previous chain ‖ header ‖ H(salt ‖ body))`, with BLAKE3 as `H`
//! and lengths in front of what varies. Erasing an entry drops salt and body
//! and keeps `H(salt ‖ body)`, so the chain still proves the rest.

use bytes::Bytes;
use prost::Message;

use crate::GroupId;
use crate::proto::{EntryHeader, SealedEntry};

/// Length of a chain value, in bytes.
pub const CHAIN_LEN: usize = 32;
/// Length of a salt, in bytes.
pub const SALT_LEN: usize = 16;

/// A value of the chain.
pub type Chain = [u8; CHAIN_LEN];

/// Why an entry was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The header is not an encoded [`EntryHeader`].
    #[error("entry header: {0}")]
    Header(#[from] prost::DecodeError),
    /// The chain does not follow from the one before.
    #[error("entry {seq}: its chain does not follow from the entry before it")]
    Chain { seq: u64 },
    /// The seq is not the next one.
    #[error("entry {got} where {expected} was due")]
    Seq { expected: u64, got: u64 },
    /// A body beside the hash that stands for it: nothing would prove it.
    #[error("entry {seq}: it is marked as erased and still carries a salt or a body")]
    Erased { seq: u64 },
    /// A chain value of the wrong length.
    #[error("a chain is {CHAIN_LEN} bytes, got {0}")]
    ChainLength(usize),
}

/// The chain before a group's first entry: `H(cluster, group)`.
#[must_use]
pub fn genesis(cluster: &[u8; 16], group: &GroupId) -> Chain {
    let mut hasher = blake3::Hasher::new_derive_key("folkmoot v1 chain");
    hasher.update(cluster);
    hasher.update(group.as_bytes());
    *hasher.finalize().as_bytes()
}

/// `H(salt ‖ body)`.
#[must_use]
pub fn body_hash(salt: &[u8], body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(salt.len() as u64).to_be_bytes());
    hasher.update(salt);
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

fn link(previous: &Chain, header: &[u8], body_hash: &[u8; 32]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    hasher.update(&(header.len() as u32).to_be_bytes());
    hasher.update(header);
    hasher.update(body_hash);
    *hasher.finalize().as_bytes()
}

/// Seals a header and a body behind `previous`.
#[must_use]
pub fn seal(previous: &Chain, header: &EntryHeader, salt: Bytes, body: Bytes) -> SealedEntry {
    let header = Bytes::from(header.encode_to_vec());
    let chain = link(previous, &header, &body_hash(&salt, &body));
    SealedEntry {
        header,
        salt,
        body,
        body_hash: Bytes::new(),
        chain: Bytes::copy_from_slice(&chain),
    }
}

/// Reads a chain value.
///
/// # Errors
/// When it is not 32 bytes.
pub fn chain_from(bytes: &[u8]) -> Result<Chain, EntryError> {
    bytes
        .try_into()
        .map_err(|_| EntryError::ChainLength(bytes.len()))
}

impl SealedEntry {
    /// Decodes the header.
    ///
    /// # Errors
    /// When the bytes are not an entry header.
    pub fn decode_header(&self) -> Result<EntryHeader, EntryError> {
        Ok(EntryHeader::decode(self.header.clone())?)
    }

    /// Whether salt and body were dropped.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        !self.body_hash.is_empty()
    }

    /// The same entry without salt and body.
    #[must_use]
    pub fn erased(&self) -> Self {
        if self.is_erased() {
            return self.clone();
        }
        Self {
            header: self.header.clone(),
            salt: Bytes::new(),
            body: Bytes::new(),
            body_hash: Bytes::copy_from_slice(&body_hash(&self.salt, &self.body)),
            chain: self.chain.clone(),
        }
    }

    /// Checks that the entry has seq `expected` and follows from `previous`;
    /// gives its header and chain.
    ///
    /// # Errors
    /// When the header is no header, the seq another, or the chain wrong.
    pub fn verify(
        &self,
        previous: &Chain,
        expected: u64,
    ) -> Result<(EntryHeader, Chain), EntryError> {
        let header = self.decode_header()?;
        if header.seq != expected {
            return Err(EntryError::Seq {
                expected,
                got: header.seq,
            });
        }
        let chain = self.chain_behind(previous, expected)?;
        if chain != chain_from(&self.chain)? {
            return Err(EntryError::Chain { seq: expected });
        }
        Ok((header, chain))
    }

    /// The same entry, with the chain that it has behind `previous`.
    ///
    /// # Errors
    /// When the header is no header, or what is said of the body makes no sense.
    pub fn behind(&self, previous: &Chain) -> Result<Self, EntryError> {
        let chain = self.chain_behind(previous, self.decode_header()?.seq)?;
        Ok(Self {
            chain: Bytes::copy_from_slice(&chain),
            ..self.clone()
        })
    }

    fn chain_behind(&self, previous: &Chain, seq: u64) -> Result<Chain, EntryError> {
        let hash = if self.is_erased() {
            if !self.salt.is_empty() || !self.body.is_empty() {
                return Err(EntryError::Erased { seq });
            }
            chain_from(&self.body_hash)?
        } else {
            body_hash(&self.salt, &self.body)
        };
        Ok(link(previous, &self.header, &hash))
    }
}

#[cfg(test)]
mod tests;
