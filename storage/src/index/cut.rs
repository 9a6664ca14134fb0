//! Ranges of keys that begin with a place.

use bytes::Bytes;
use folkmoot_wire::GroupId;

use crate::keys::{self, guests};

/// A range, cut where it begins and ends among the keys of one place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// Each within one place.
    pub(super) parts: Vec<(Bytes, Bytes)>,
    /// Between two places: all that lie there, whole.
    pub(super) whole: Option<(Bytes, Bytes)>,
}

impl Cut {
    pub(super) fn of(from: &Bytes, to: &Bytes) -> Self {
        let (first, last) = (place_at(from), place_at(to));
        let mut parts = Vec::new();
        let mut whole = (from.clone(), to.clone());
        if first.is_some() && first == last {
            parts.push(whole);
            return Self { parts, whole: None };
        }
        if let Some(place) = first {
            whole.0 = keys::prefix_range(&place).1;
            parts.push((from.clone(), whole.0.clone()));
        }
        if let Some(place) = last {
            parts.push((place.clone(), to.clone()));
            whole.1 = place;
        }
        parts.retain(|(from, to)| from < to);
        Self {
            parts,
            whole: Some(whole).filter(|(from, to)| from < to),
        }
    }
}

/// The place whose keys a bound lies among; none: between places.
fn place_at(bound: &[u8]) -> Option<Bytes> {
    let (_, key) = guests::split(bound);
    let front = bound.len() - key.len();
    let place = front + GroupId::LEN;
    (bound.len() > place && bound != keys::TABLE_END)
        .then(|| Bytes::copy_from_slice(&bound[..place]))
}
