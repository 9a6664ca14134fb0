//! The user directory: `(realm, subject)` to user id (D18). A directory slot
//! is kept by one shard; the id that a first request proposes is the one.

use bytes::Bytes;
use folkmoot_storage::{Table, keys, value};
use folkmoot_wire::proto::{
    CreateSelf, Outcome, ResolveUser, Resolved, StoredUser, outbox_delivery, outcome,
};
use folkmoot_wire::{Code, UserId, limits};

use super::{Answer, ShardApply, refuse};

/// Longest realm and subject, in bytes each.
const NAME_MAX: usize = 512;

/// Where the directory keeps a user: its slot and its key there.
#[must_use]
pub fn directory_place(realm: &str, subject: &str) -> (u16, [u8; 16]) {
    let mut hasher = blake3::Hasher::new_derive_key("folkmoot v1 directory");
    hasher.update(&(realm.len() as u32).to_be_bytes());
    hasher.update(realm.as_bytes());
    hasher.update(subject.as_bytes());
    let hash = hasher.finalize();
    let bytes = hash.as_bytes();
    let slot = u32::from(u16::from_be_bytes([bytes[16], bytes[17]])) % limits::DIRECTORY_SLOTS;
    let mut key = [0; 16];
    key.copy_from_slice(&bytes[..16]);
    (slot as u16, key)
}

impl ShardApply {
    pub(super) fn resolve_user(&mut self, resolve: &ResolveUser) -> Answer {
        if resolve.subject.is_empty() {
            return refuse(Code::Invalid, "a user has a subject");
        }
        if resolve.realm.len() > NAME_MAX || resolve.subject.len() > NAME_MAX {
            let detail = format!("realm and subject have at most {NAME_MAX} bytes");
            return refuse(Code::TooLarge, detail);
        }
        let candidate = match UserId::from_slice(&resolve.candidate) {
            Ok(candidate) => candidate,
            Err(error) => return refuse(Code::Invalid, error.to_string()),
        };
        let (slot, hash) = directory_place(&resolve.realm, &resolve.subject);
        let key = keys::users::key(slot, &hash);
        if let Some(bytes) = self.view.get(Table::Users, &key)? {
            let held: StoredUser = value::decode_value(bytes)?;
            return resolved(held.user, false);
        }
        let record = StoredUser {
            user: candidate.to_bytes(),
        };
        self.view
            .put(Table::Users, key, value::encode_value(&record));
        self.send(
            candidate.self_group(),
            outbox_delivery::Effect::CreateSelf(CreateSelf {
                user: candidate.to_bytes(),
            }),
        );
        resolved(candidate.to_bytes(), true)
    }
}

fn resolved(user: Bytes, minted: bool) -> Answer {
    Ok(Ok(Outcome {
        result: Some(outcome::Result::Resolved(Resolved { user, minted })),
    }))
}
