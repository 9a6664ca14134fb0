//! A line of those who wait for something, of a bounded length.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The line.
#[derive(Debug)]
pub(super) struct Line {
    len: AtomicUsize,
    most: usize,
}

/// One that stands in it, until it is dropped.
#[derive(Debug)]
pub(super) struct InLine<'a>(&'a AtomicUsize);

impl Line {
    pub(super) fn new(most: usize) -> Self {
        Self {
            len: AtomicUsize::new(0),
            most,
        }
    }

    /// `None`: it is full.
    pub(super) fn join(&self) -> Option<InLine<'_>> {
        let one = InLine(&self.len);
        (self.len.fetch_add(1, Ordering::Relaxed) < self.most).then_some(one)
    }

    /// How many stand in it.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
