//! The group's profile: name, topic, announcement and pins, in a small
//! automerge document whose changes are entries.
//!
//! Name and topic are registers (of two written at once one stands, the same
//! one everywhere); the announcement is text, merged by character; a pin set
//! on one side of a cut outlives its removal on the other.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{
    ActorId, Automerge, Change, ChangeHash, ObjType, ROOT, ReadDoc, ScalarValue, Value,
};

mod editor;
mod guard;

pub use editor::Editor;

const NAME: &str = "name";
const TOPIC: &str = "topic";
const ANNOUNCEMENT: &str = "announcement";
const PINS: &str = "pins";
const GENESIS_ACTOR: &[u8] = b"folkmoot";

/// Longest id of an author of changes, in bytes.
pub const ACTOR_MAX: usize = 64;

/// Why a document or a change was refused. The profile is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// With the changes it would be too large.
    #[error(
        "the profile and its history would need {got} bytes, more than the {max} allowed: \
         shorten the announcement or write less often"
    )]
    TooLarge { got: usize, max: usize },
    /// Not a change or document at all, or one of a kind not taken.
    #[error("not an automerge {what} that is taken here: {why}")]
    Malformed { what: &'static str, why: String },
    /// The changes build on some that are not here.
    #[error("the changes build on changes that this profile does not have: send those first")]
    MissingDependencies,
    /// A document that does not begin with the common first change.
    #[error("the document does not begin as every profile does: start from the group's own")]
    Foreign,
    /// The changes contradict what is there, for example two by one author
    /// under one number.
    #[error("the changes do not fit this profile: {0}")]
    Conflict(String),
    /// The id of an author is empty or too long.
    #[error("an author of changes is named by 1 to {ACTOR_MAX} bytes, got {0}")]
    Actor(usize),
}

/// A replica of a group's profile.
///
/// **Merge law**: the state is a function of the *set* of changes; `apply` and
/// `merge` are unions of sets, so they are commutative, associative and
/// idempotent. Changes are applied after those they build on: in any order
/// within one call, in causal order over several.
///
/// **Size** is the sum of the sizes of all changes, which is a function of the
/// set too: replicas that hold the same changes agree on what still fits,
/// however they came by them. `merge` checks none, because it only joins sets
/// that passed `apply` at the group's home.
#[derive(Debug, Clone)]
pub struct Profile {
    doc: Automerge,
}

impl Default for Profile {
    fn default() -> Self {
        Self::new()
    }
}

impl Profile {
    /// The profile every group starts with: one change, the same bytes on
    /// every replica.
    #[must_use]
    pub fn new() -> Self {
        let mut doc = Automerge::new().with_actor(ActorId::from(GENESIS_ACTOR));
        let made = doc.transact_with(
            |()| CommitOptions::default().with_time(0),
            |tx| {
                tx.put_object(ROOT, ANNOUNCEMENT, ObjType::Text)?;
                tx.put_object(ROOT, PINS, ObjType::Map)?;
                Ok::<_, automerge::AutomergeError>(())
            },
        );
        // Two puts into an empty root: there is nothing in them that can fail.
        debug_assert!(made.is_ok());
        Self { doc }
    }

    /// Reads what [`Profile::save`] wrote.
    ///
    /// # Errors
    /// When it is over `max` bytes (see *Size*), not such a document, or not
    /// a profile.
    pub fn load(bytes: &[u8], max: usize) -> Result<Self, ProfileError> {
        guard::document(bytes, max)?;
        let profile = guard::contain("document", || Self::rebuild(bytes))??;
        guard::contain("document", || Ok::<_, ProfileError>(profile.check(max)))??;
        Ok(profile)
    }

    /// Loads a document and builds it anew from its changes: the library
    /// trusts parts of a saved document that a change has to prove.
    fn rebuild(bytes: &[u8]) -> Result<Result<Self, ProfileError>, automerge::AutomergeError> {
        let loaded = Automerge::load(bytes)?;
        let mut doc = Automerge::new();
        doc.apply_changes(loaded.get_changes(&[]))?;
        let whole = loaded.get_missing_deps(&[]).is_empty() && doc.get_missing_deps(&[]).is_empty();
        if whole && doc.get_heads() == loaded.get_heads() {
            Ok(Ok(Self { doc }))
        } else {
            Ok(Err(ProfileError::MissingDependencies))
        }
    }

    /// The document's bytes, columns uncompressed. **Not canonical**: equal
    /// profiles may save differently; compare [`Profile::fingerprint_input`].
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        self.doc.save_nocompress()
    }

    /// Adds changes (uncompressed automerge change chunks, one each); tells
    /// whether any was new. All are added or none.
    ///
    /// # Errors
    /// When one is no change, builds on what is not here, contradicts what is,
    /// or the profile would pass `max` bytes (see *Size*).
    pub fn apply(
        &mut self,
        changes: &[impl AsRef<[u8]>],
        max: usize,
    ) -> Result<bool, ProfileError> {
        let total: usize = changes.iter().map(|c| c.as_ref().len()).sum();
        if total > max {
            return Err(ProfileError::TooLarge { got: total, max });
        }
        let mut parsed = Vec::with_capacity(changes.len());
        for change in changes {
            guard::change(change.as_ref(), max)?;
            parsed.push(guard::contain("change", || {
                Change::try_from(change.as_ref())
            })?);
        }
        self.extend(parsed, Some(max))
    }

    /// Adds all changes of `other`; tells whether any was new.
    ///
    /// # Errors
    /// When the two contradict each other, which takes an author that wrote
    /// two different changes under one number.
    pub fn merge(&mut self, other: &Self) -> Result<bool, ProfileError> {
        let added = self.doc.get_changes_added(&other.doc);
        self.extend(added, None)
    }

    fn extend(&mut self, changes: Vec<Change>, max: Option<usize>) -> Result<bool, ProfileError> {
        // On a copy: a refusal must leave nothing behind.
        let mut next = Self {
            doc: self.doc.clone(),
        };
        guard::contain("change", || next.doc.apply_changes(changes)).map_err(conflict)?;
        if !next.doc.get_missing_deps(&[]).is_empty() {
            return Err(ProfileError::MissingDependencies);
        }
        let changed = next.doc.get_heads() != self.doc.get_heads();
        if changed {
            if let Some(max) = max {
                guard::contain("change", || Ok::<_, ProfileError>(next.check(max)))??;
            }
            *self = next;
        }
        Ok(changed)
    }

    /// Checks what is a function of the set of changes.
    fn check(&self, max: usize) -> Result<(), ProfileError> {
        let changes = self.doc.get_changes(&[]);
        let genesis = Self::new().doc.get_heads();
        if !genesis
            .iter()
            .all(|hash| changes.iter().any(|c| c.hash() == *hash))
        {
            return Err(ProfileError::Foreign);
        }
        let got = changes.iter().map(|c| c.raw_bytes().len()).sum();
        if got > max {
            return Err(ProfileError::TooLarge { got, max });
        }
        guard::weigh(&changes, max)
    }

    /// Size of all changes, in bytes; what the limits are about.
    #[must_use]
    pub fn size(&self) -> usize {
        let changes = self.doc.get_changes(&[]);
        changes.iter().map(|c| c.raw_bytes().len()).sum()
    }

    /// Writes, as the author `actor`; gives the changes to send, at most one.
    ///
    /// An author must never write two changes from one state: use an id that
    /// is used once, such as the message's.
    ///
    /// # Errors
    /// When `write` fails, or `actor` is empty or too long.
    pub fn edit(
        &mut self,
        actor: &[u8],
        write: impl FnOnce(&mut Editor<'_, '_>) -> Result<(), ProfileError>,
    ) -> Result<Vec<Vec<u8>>, ProfileError> {
        if actor.is_empty() || actor.len() > ACTOR_MAX {
            return Err(ProfileError::Actor(actor.len()));
        }
        let before = self.doc.get_heads();
        self.doc.set_actor(ActorId::from(actor));
        self.doc
            .transact_with(
                // No clock is read here.
                |()| CommitOptions::default().with_time(0),
                |tx| write(&mut Editor::new(tx)),
            )
            .map_err(|failure| failure.error)?;
        Ok(self
            .doc
            .get_changes(&before)
            .iter()
            .map(|change| change.raw_bytes().to_vec())
            .collect())
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> String {
        text(&self.doc, NAME)
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> String {
        text(&self.doc, TOPIC)
    }

    /// The announcement.
    #[must_use]
    pub fn announcement(&self) -> String {
        text(&self.doc, ANNOUNCEMENT)
    }

    /// Seqs of the pinned entries, rising.
    #[must_use]
    pub fn pins(&self) -> Vec<u64> {
        let Some((Value::Object(ObjType::Map), pins)) = get(&self.doc, PINS) else {
            return Vec::new();
        };
        let mut seqs: Vec<u64> = self
            .doc
            .keys(&pins)
            .filter_map(|key| pinned(&self.doc, &pins, &key))
            .collect();
        seqs.sort_unstable();
        seqs
    }

    /// Bytes that are equal iff the sets of changes are: the sorted hashes of
    /// the latest changes, each of which commits to all it builds on.
    #[must_use]
    pub fn fingerprint_input(&self) -> Vec<u8> {
        let mut heads: Vec<ChangeHash> = self.doc.get_heads();
        heads.sort_unstable();
        heads.iter().flat_map(|head| head.0).collect()
    }
}

fn conflict(error: ProfileError) -> ProfileError {
    match error {
        ProfileError::Malformed { why, .. } => ProfileError::Conflict(why),
        other => other,
    }
}

fn get<'a>(doc: &'a impl ReadDoc, field: &str) -> Option<(Value<'a>, automerge::ObjId)> {
    doc.get(ROOT, field).ok().flatten()
}

/// A string or a text, as whoever wrote it chose; empty when it is neither.
fn text(doc: &impl ReadDoc, field: &str) -> String {
    match get(doc, field) {
        Some((Value::Scalar(value), _)) => value.as_str().unwrap_or_default().to_owned(),
        Some((Value::Object(ObjType::Text), id)) => doc.text(&id).unwrap_or_default(),
        _ => String::new(),
    }
}

fn pinned(doc: &impl ReadDoc, pins: &automerge::ObjId, key: &str) -> Option<u64> {
    let seq: u64 = key.parse().ok()?;
    let (value, _) = doc.get(pins, key).ok()??;
    let set = matches!(value, Value::Scalar(v) if *v == ScalarValue::Boolean(true));
    // "007" would be a second key for 7.
    (set && seq.to_string() == key).then_some(seq)
}

#[cfg(test)]
mod tests;
