//! Merging rows, by the rules of their kind.

use bytes::Bytes;
use folkmoot_crdt::cursor::Cursor;
use folkmoot_crdt::digest::{Fingerprint, LEN};
use folkmoot_crdt::group::later_by_seq;
use folkmoot_crdt::member::Member;
use folkmoot_crdt::profile::{Profile, ProfileError};
use prost::Message;

use super::{RowKey, RowKind};
use crate::id::IdError;
use crate::limits::PROFILE_MAX;
use crate::proto::row::Value;
use crate::proto::{GroupValue, ListedValue, Row};

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The key is not a row key.
    #[error("row key: {0}")]
    Key(#[from] IdError),
    /// There is no value, or one of a kind this build does not know.
    #[error("a row of kind {0:?} without a value that this version knows")]
    NoValue(RowKind),
    /// The value is not of the kind that the key says.
    #[error("a row of kind {0:?} with a value of another kind")]
    Kind(RowKind),
    /// Rows of different keys do not merge.
    #[error("rows of two different keys cannot be merged")]
    Keys,
    /// An enumerated field has a number that this build does not know.
    #[error("member row: {field} {number} is not known to this version: update the node")]
    Number { field: &'static str, number: i32 },
    /// A digest of the wrong length.
    #[error("a digest of rows is {LEN} bytes, got {0}")]
    DigestLength(usize),
    /// The profile document was refused.
    #[error("profile row: {0}")]
    Profile(#[from] ProfileError),
}

/// The value, if it is of the kind that the key says.
fn checked(row: &Row) -> Result<(RowKind, &Value), RowError> {
    let kind = RowKey::from_slice(&row.key)?.kind();
    let value = row.value.as_ref().ok_or(RowError::NoValue(kind))?;
    let fits = match value {
        Value::Group(_) => kind == RowKind::Group,
        Value::Profile(_) => kind == RowKind::Profile,
        Value::Member(_) => kind == RowKind::Member,
        Value::Cursor(_) => kind == RowKind::Cursor,
        Value::Listed(_) => kind == RowKind::Listed,
    };
    if fits {
        Ok((kind, value))
    } else {
        Err(RowError::Kind(kind))
    }
}

/// Merges two rows of one key.
///
/// **Merge law**: commutative, associative and idempotent up to
/// [`fingerprint_input`]; for all kinds but the profile, whose saved form is
/// not canonical, up to the bytes of the merged row too. Group and listed
/// rows: the later by `(seq, quiet)`, ties by the encoded content. Members and cursors:
/// as [`Member::merge`] and [`Cursor::merge`]. Profile: the union of changes.
///
/// # Errors
/// When the keys differ, or a row is not one of its kind.
pub fn merge(a: &Row, b: &Row) -> Result<Row, RowError> {
    if a.key != b.key {
        return Err(RowError::Keys);
    }
    let (kind, left) = checked(a)?;
    let (_, right) = checked(b)?;
    let value = match (left, right) {
        (Value::Group(l), Value::Group(r)) => Value::Group(later_group(l, r).clone()),
        (Value::Listed(l), Value::Listed(r)) => Value::Listed(later_listed(l, r).clone()),
        (Value::Cursor(l), Value::Cursor(r)) => {
            Value::Cursor((&Cursor::from(l).merge(&Cursor::from(r))).into())
        }
        (Value::Member(l), Value::Member(r)) => {
            Value::Member((&Member::try_from(l)?.merge(&Member::try_from(r)?)).into())
        }
        (Value::Profile(l), Value::Profile(r)) => Value::Profile(merge_profiles(l, r)?),
        _ => return Err(RowError::Kind(kind)),
    };
    Ok(Row {
        key: a.key.clone(),
        value: Some(value),
    })
}

fn later_group<'a>(a: &'a GroupValue, b: &'a GroupValue) -> &'a GroupValue {
    let keyed = |value: &GroupValue| (value.seq, (value.quiet, value.encode_to_vec()));
    if later_by_seq(keyed(a), keyed(b)) == keyed(a) {
        a
    } else {
        b
    }
}

fn later_listed<'a>(a: &'a ListedValue, b: &'a ListedValue) -> &'a ListedValue {
    let keyed = |value: &ListedValue| {
        let content = (value.source_quiet, value.encode_to_vec());
        (value.source_seq, content)
    };
    if later_by_seq(keyed(a), keyed(b)) == keyed(a) {
        a
    } else {
        b
    }
}

fn merge_profiles(a: &Bytes, b: &Bytes) -> Result<Bytes, RowError> {
    let mut profile = Profile::load(a, PROFILE_MAX)?;
    if a == b {
        return Ok(a.clone());
    }
    let other = Profile::load(b, PROFILE_MAX)?;
    if profile.merge(&other)? {
        Ok(Bytes::from(profile.save()))
    } else {
        // Nothing was new: keep the bytes, so that nobody writes them again.
        Ok(a.clone())
    }
}

/// Canonical bytes of a row's value: equal iff the values are, whoever encoded
/// them.
///
/// # Errors
/// When the row is not one of its kind.
pub fn fingerprint_input(row: &Row) -> Result<Bytes, RowError> {
    let bytes = match checked(row)?.1 {
        Value::Group(value) => value.encode_to_vec(),
        Value::Listed(value) => value.encode_to_vec(),
        Value::Cursor(value) => value.encode_to_vec(),
        Value::Member(value) => {
            crate::proto::MemberValue::from(&Member::try_from(value)?).encode_to_vec()
        }
        Value::Profile(document) => Profile::load(document, PROFILE_MAX)?.fingerprint_input(),
    };
    Ok(Bytes::from(bytes))
}

/// The row's fingerprint under the cluster's key, a term of the digest of the
/// group's rows.
///
/// # Errors
/// When the row is not one of its kind.
pub fn fingerprint(cluster_key: &[u8; LEN], row: &Row) -> Result<Fingerprint, RowError> {
    Ok(Fingerprint::of(
        cluster_key,
        &row.key,
        &fingerprint_input(row)?,
    ))
}
