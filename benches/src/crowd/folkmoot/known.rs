//! What others got just now: all get the same bytes, and comparing them is less
//! work than reading them.

use std::collections::VecDeque;

use bytes::Bytes;

/// Frames that are remembered: of those that clients are at, at one moment.
const KEPT: usize = 16;

/// The last frames, and what is in them.
pub(crate) struct Known<T>(VecDeque<(Bytes, T)>);

impl<T: Clone> Known<T> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// What is in a frame; reads it unless somebody had it before.
    pub(crate) fn read(
        &mut self,
        frame: Bytes,
        read: impl FnOnce(Bytes) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        if let Some((_, known)) = self.0.iter().find(|(other, _)| *other == frame) {
            return Ok(known.clone());
        }
        let new = read(frame.clone())?;
        self.0.truncate(KEPT - 1);
        self.0.push_front((frame, new.clone()));
        Ok(new)
    }
}
