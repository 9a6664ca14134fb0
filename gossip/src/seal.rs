//! The seal on every packet: AES-256-GCM under the cluster's gossip key.
//!
//! ```text
//! version 1 | key id 1 | cluster tag 4 | nonce 12 | ciphertext | tag 16
//! ```
//!
//! The first six bytes and the cluster's id are authenticated with the rest.
//! There is no protection against replay: SWIM's messages are idempotent and
//! ordered by incarnations. Nonces are random, so a key should be replaced
//! well before it sealed 2^32 packets (NIST SP 800-38D, 8.3): about a year of
//! a hundred packets a second.

use std::collections::BTreeMap;
use std::fmt;

use rand::RngCore;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use zeroize::Zeroizing;

use crate::port::DATAGRAM_MAX;

/// The version of the packets' form: of the seal, and of what is under it
/// (foca 2's messages with our identities, in postcard).
const VERSION: u8 = 1;
const CLUSTER_AT: usize = 2;
const NONCE_AT: usize = 6;
const BODY_AT: usize = NONCE_AT + NONCE_LEN;
const TAG_LEN: usize = 16;
/// Bytes that the seal adds to a packet.
pub const OVERHEAD: usize = BODY_AT + TAG_LEN;
/// Most keys of a ring. A rotation needs two.
pub const KEYS_MAX: usize = 8;

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refused {
    /// Shorter than a seal: not one of ours.
    #[error("too short to be a gossip packet")]
    Short,
    /// Longer than any node sends.
    #[error("longer than {DATAGRAM_MAX} bytes")]
    Long,
    /// Sealed by an older or newer release.
    #[error("of an unknown packet version: are the nodes' releases too far apart?")]
    Version,
    /// Sealed for another cluster.
    #[error("of another cluster: is a seed's address wrong?")]
    Cluster,
    /// Sealed under a key that this node does not hold.
    #[error("sealed with a key this node does not have: give it the cluster's gossip keys")]
    Key,
    /// Right cluster and key id, but the bytes do not authenticate.
    #[error("forged or damaged, or sealed with another key of the same number")]
    Forged,
    /// Authentic, and still not a message.
    #[error("authentic but not readable: are the nodes' releases too far apart?")]
    Malformed,
    /// Authentic, and from this very node id.
    #[error("from this node's own id: is another node configured with the same id?")]
    OwnId,
}

impl Refused {
    /// A short stable name, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
            Self::Version => "version",
            Self::Cluster => "cluster",
            Self::Key => "key",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::OwnId => "own_id",
        }
    }
}

/// Why keys do not make a ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The sealing key is not among the keys.
    #[error("the current gossip key {0} is not among the keys given")]
    NoCurrent(u8),
    /// More than [`KEYS_MAX`].
    #[error("at most {KEYS_MAX} gossip keys, got {0}: drop those that no node seals with")]
    TooMany(usize),
    /// The key was not accepted.
    #[error("gossip key {0} is not a 256-bit key")]
    Key(u8),
}

/// The cluster's gossip keys: all open, the current one seals. To rotate: add
/// the new key on every node, make it current on every node, drop the old one.
pub struct Keyring {
    current: u8,
    keys: BTreeMap<u8, LessSafeKey>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("current", &self.current)
            .field("ids", &self.keys.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// A ring of `(key id, key)`, sealing with the key numbered `current`.
    ///
    /// # Errors
    /// When `current` is missing or there are too many keys.
    pub fn new(
        current: u8,
        keys: impl IntoIterator<Item = (u8, Zeroizing<[u8; 32]>)>,
    ) -> Result<Self, KeyringError> {
        let mut ring = BTreeMap::new();
        for (id, key) in keys {
            let key = UnboundKey::new(&AES_256_GCM, &key[..]).map_err(|_| KeyringError::Key(id))?;
            ring.insert(id, LessSafeKey::new(key));
        }
        if ring.len() > KEYS_MAX {
            return Err(KeyringError::TooMany(ring.len()));
        }
        if !ring.contains_key(&current) {
            return Err(KeyringError::NoCurrent(current));
        }
        Ok(Self {
            current,
            keys: ring,
        })
    }
}

/// Seals and opens the packets of one cluster.
#[derive(Debug)]
pub struct Seal {
    keyring: Keyring,
    cluster: String,
    cluster_tag: [u8; 4],
}

impl Seal {
    /// For the cluster with this id.
    #[must_use]
    pub fn new(cluster: impl Into<String>, keyring: Keyring) -> Self {
        let cluster = cluster.into();
        let digest = digest::digest(&digest::SHA256, cluster.as_bytes());
        let mut cluster_tag = [0; 4];
        cluster_tag.copy_from_slice(&digest.as_ref()[..4]);
        Self {
            keyring,
            cluster,
            cluster_tag,
        }
    }

    /// Replaces the keys.
    pub fn set_keyring(&mut self, keyring: Keyring) {
        self.keyring = keyring;
    }

    fn aad(&self, head: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([head, self.cluster.as_bytes()].concat())
    }

    /// Seals `plain` with the current key. Nothing when it cannot be sealed,
    /// which AES-GCM does only for packets of gigabytes.
    pub fn seal(&self, plain: &[u8], rng: &mut dyn RngCore) -> Option<Vec<u8>> {
        let key = self.keyring.keys.get(&self.keyring.current)?;
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);

        let mut packet = Vec::with_capacity(plain.len() + OVERHEAD);
        packet.extend_from_slice(&[VERSION, self.keyring.current]);
        packet.extend_from_slice(&self.cluster_tag);
        let aad = self.aad(&packet);
        packet.extend_from_slice(&nonce);
        packet.extend_from_slice(plain);
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                aad,
                &mut packet[BODY_AT..],
            )
            .ok()?;
        packet.extend_from_slice(tag.as_ref());
        Some(packet)
    }

    /// Opens a packet.
    ///
    /// # Errors
    /// When it is not an authentic packet of this cluster, and why.
    pub fn open(&self, packet: &[u8]) -> Result<Vec<u8>, Refused> {
        if packet.len() < OVERHEAD {
            return Err(Refused::Short);
        }
        if packet.len() > DATAGRAM_MAX {
            return Err(Refused::Long);
        }
        if packet[0] != VERSION {
            return Err(Refused::Version);
        }
        if packet[CLUSTER_AT..NONCE_AT] != self.cluster_tag {
            return Err(Refused::Cluster);
        }
        let key = self.keyring.keys.get(&packet[1]).ok_or(Refused::Key)?;
        let nonce = Nonce::try_assume_unique_for_key(&packet[NONCE_AT..BODY_AT])
            .map_err(|_| Refused::Short)?;
        let mut body = packet[BODY_AT..].to_vec();
        let length = key
            .open_in_place(nonce, self.aad(&packet[..NONCE_AT]), &mut body)
            .map_err(|_| Refused::Forged)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

#[cfg(test)]
mod tests;
