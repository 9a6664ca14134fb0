//! Writing to a profile.

use automerge::transaction::{Transactable, Transaction};
use automerge::{ObjId, ObjType, ROOT, ReadDoc, Value};

use super::{ANNOUNCEMENT, NAME, PINS, ProfileError, TOPIC, get, pinned, text};

/// What [`super::Profile::edit`] hands to the writer. What does not change
/// anything writes nothing.
pub struct Editor<'a, 'doc> {
    tx: &'a mut Transaction<'doc>,
}

fn failed(error: automerge::AutomergeError) -> ProfileError {
    ProfileError::Conflict(error.to_string())
}

impl<'a, 'doc> Editor<'a, 'doc> {
    pub(super) fn new(tx: &'a mut Transaction<'doc>) -> Self {
        Self { tx }
    }

    fn set_register(&mut self, field: &str, value: &str) -> Result<(), ProfileError> {
        if text(&*self.tx, field) == value {
            return Ok(());
        }
        self.tx.put(ROOT, field, value).map_err(failed)
    }

    /// Sets the name.
    ///
    /// # Errors
    /// When the document cannot take the change.
    pub fn set_name(&mut self, name: &str) -> Result<(), ProfileError> {
        self.set_register(NAME, name)
    }

    /// Sets the topic.
    ///
    /// # Errors
    /// When the document cannot take the change.
    pub fn set_topic(&mut self, topic: &str) -> Result<(), ProfileError> {
        self.set_register(TOPIC, topic)
    }

    /// Makes the announcement read as given, by the least edits, so that it
    /// merges with what others edit meanwhile.
    ///
    /// # Errors
    /// When the document cannot take the change.
    pub fn set_announcement(&mut self, announcement: &str) -> Result<(), ProfileError> {
        let id = match get(&*self.tx, ANNOUNCEMENT) {
            Some((Value::Object(ObjType::Text), id)) => id,
            _ => self
                .tx
                .put_object(ROOT, ANNOUNCEMENT, ObjType::Text)
                .map_err(failed)?,
        };
        self.tx.update_text(&id, announcement).map_err(failed)
    }

    fn pins(&mut self) -> Result<ObjId, ProfileError> {
        match get(&*self.tx, PINS) {
            Some((Value::Object(ObjType::Map), id)) => Ok(id),
            _ => self.tx.put_object(ROOT, PINS, ObjType::Map).map_err(failed),
        }
    }

    /// Pins the entry `seq`.
    ///
    /// # Errors
    /// When the document cannot take the change.
    pub fn pin(&mut self, seq: u64) -> Result<(), ProfileError> {
        let (pins, key) = (self.pins()?, seq.to_string());
        if pinned(&*self.tx, &pins, &key).is_some() {
            return Ok(());
        }
        self.tx.put(&pins, key, true).map_err(failed)
    }

    /// Takes the pin of the entry `seq` away.
    ///
    /// # Errors
    /// When the document cannot take the change.
    pub fn unpin(&mut self, seq: u64) -> Result<(), ProfileError> {
        let (pins, key) = (self.pins()?, seq.to_string());
        if self.tx.get(&pins, &key).map_err(failed)?.is_none() {
            return Ok(());
        }
        self.tx.delete(&pins, key).map_err(failed)
    }
}
