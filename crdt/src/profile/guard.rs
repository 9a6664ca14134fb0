//! What stands between hostile bytes and the automerge library.
//!
//! A few bytes of a run-length encoded column can stand for 2^60 values, and
//! a compressed chunk for a thousand times its size: both are legal, both
//! would take all memory or time. So the chunk is walked here first, by the
//! binary format's specification (<https://automerge.org/automerge-binary-format-spec/>),
//! and what its columns stand for is added up and bounded. Compressed chunks
//! and columns are refused. What then still makes the library panic becomes
//! an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::Change;

use super::ProfileError;

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const DOCUMENT: u8 = 0;
const CHANGE: u8 = 1;
const HASH_LEN: u64 = 32;

/// What the columns of changes may stand for, in values and characters, per
/// byte of the size limit: a deletion of what others wrote is nearly free.
const EXPANSION: usize = 4;

/// Runs the library over bytes from outside.
pub(super) fn contain<T, E: std::fmt::Display>(
    what: &'static str,
    run: impl FnOnce() -> Result<T, E>,
) -> Result<T, ProfileError> {
    // Unwind safe: whoever calls drops what `run` may have left half done.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(malformed(what, error)),
        Err(_) => Err(malformed(what, "the library could not handle it")),
    }
}

fn malformed(what: &'static str, why: impl std::fmt::Display) -> ProfileError {
    ProfileError::Malformed {
        what,
        why: why.to_string(),
    }
}

/// Checks a change chunk that is to be parsed.
pub(super) fn change(bytes: &[u8], max: usize) -> Result<(), ProfileError> {
    if bytes.len() > max {
        return Err(ProfileError::TooLarge {
            got: bytes.len(),
            max,
        });
    }
    let weight = change_weight(bytes).map_err(|why| malformed("change", why))?;
    within(weight, max.saturating_mul(EXPANSION), "change")
}

/// Checks a set of changes: what they stand for in all, and that no op counter
/// runs ahead of the number of ops, so that nobody can use the counters up.
pub(super) fn weigh(changes: &[Change], max: usize) -> Result<(), ProfileError> {
    let ops: u64 = changes.iter().map(|c| c.len() as u64).sum();
    let mut total = 0u64;
    for change in changes {
        if !change.is_empty() && change.max_op() > ops {
            return Err(malformed("change", "an op counter runs ahead"));
        }
        let weight = change_weight(change.raw_bytes()).map_err(|why| malformed("change", why))?;
        total = total.saturating_add(weight);
    }
    within(total, max.saturating_mul(EXPANSION), "change")
}

/// Checks a document chunk that is to be loaded. Its limits are wider than
/// those of changes: whatever set of changes is taken can be loaded again.
pub(super) fn document(bytes: &[u8], max: usize) -> Result<(), ProfileError> {
    let widest = max.saturating_mul(EXPANSION).saturating_add(4096);
    if bytes.len() > widest {
        return Err(ProfileError::TooLarge {
            got: bytes.len(),
            max,
        });
    }
    let weight = document_weight(bytes).map_err(|why| malformed("document", why))?;
    within(weight, widest.saturating_mul(2), "document")
}

fn within(weight: u64, max: usize, what: &'static str) -> Result<(), ProfileError> {
    if weight > max as u64 {
        return Err(malformed(
            what,
            format!("it stands for {weight} values, more than the {max} allowed"),
        ));
    }
    Ok(())
}

type Walk<T> = Result<T, &'static str>;

const SHORT: &str = "it ends too early";

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: u64) -> Walk<&'a [u8]> {
        let len = usize::try_from(len).map_err(|_| SHORT)?;
        let (head, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Walk<u8> {
        Ok(self.take(1)?[0])
    }

    /// The bits of a LEB128 number, how many groups of 7 it had, and its last byte.
    fn leb(&mut self) -> Walk<(u128, u32, u8)> {
        let mut value = 0u128;
        for groups in 0..10 {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << (7 * groups);
            if byte & 0x80 == 0 {
                return Ok((value, groups + 1, byte));
            }
        }
        Err("a number is longer than 64 bits")
    }

    fn unsigned(&mut self) -> Walk<u64> {
        u64::try_from(self.leb()?.0).map_err(|_| "a number is longer than 64 bits")
    }

    fn signed(&mut self) -> Walk<i64> {
        let (bits, groups, last) = self.leb()?;
        let value = if last & 0x40 == 0 {
            bits as i128
        } else {
            bits as i128 - (1i128 << (7 * groups))
        };
        i64::try_from(value).map_err(|_| "a number is longer than 64 bits")
    }

    /// A number of items of `len` bytes, or with their length in front.
    fn skip_list(&mut self, len: Option<u64>) -> Walk<()> {
        for _ in 0..self.unsigned()? {
            let len = len.map_or_else(|| self.unsigned(), Ok)?;
            self.take(len)?;
        }
        Ok(())
    }

    fn columns(&mut self) -> Walk<Vec<(u64, u64)>> {
        let mut columns = Vec::new();
        for _ in 0..self.unsigned()? {
            columns.push((self.unsigned()?, self.unsigned()?));
        }
        Ok(columns)
    }
}

fn body(bytes: &[u8], kind: u8) -> Walk<Input<'_>> {
    let mut input = Input(bytes);
    if input.take(4)? != MAGIC {
        return Err("it does not begin as automerge data does");
    }
    input.take(4)?; // checksum: the library's to check
    if input.byte()? != kind {
        return Err("a chunk of another kind; changes and columns come uncompressed");
    }
    if input.unsigned()? != input.0.len() as u64 {
        return Err("its length is not what it says");
    }
    Ok(input)
}

fn change_weight(bytes: &[u8]) -> Walk<u64> {
    let mut input = body(bytes, CHANGE)?;
    input.skip_list(Some(HASH_LEN))?; // dependencies
    let actor = input.unsigned()?;
    input.take(actor)?;
    input.unsigned()?; // seq
    input.unsigned()?; // first op
    input.signed()?; // time
    let message = input.unsigned()?;
    input.take(message)?;
    input.skip_list(None)?; // other actors
    let columns = input.columns()?;
    columns_weight(&mut input, &columns)
}

fn document_weight(bytes: &[u8]) -> Walk<u64> {
    let mut input = body(bytes, DOCUMENT)?;
    input.skip_list(None)?; // actors
    input.skip_list(Some(HASH_LEN))?; // heads
    let (changes, ops) = (input.columns()?, input.columns()?);
    let changes = columns_weight(&mut input, &changes)?;
    Ok(changes.max(columns_weight(&mut input, &ops)?))
}

/// The greatest number of values, or characters, that one column stands for.
fn columns_weight(input: &mut Input<'_>, columns: &[(u64, u64)]) -> Walk<u64> {
    let mut most = 0;
    for &(spec, len) in columns {
        if spec & 0b1000 != 0 {
            return Err("a compressed column");
        }
        let mut column = Input(input.take(len)?);
        most = most.max(match spec & 0b111 {
            4 => booleans(&mut column)?,
            // Raw values are as long as they are.
            7 => len,
            kind => runs(&mut column, kind)?,
        });
    }
    Ok(most)
}

fn booleans(column: &mut Input<'_>) -> Walk<u64> {
    let mut weight = 0u64;
    while !column.0.is_empty() {
        weight = weight.saturating_add(column.unsigned()?);
    }
    Ok(weight)
}

fn runs(column: &mut Input<'_>, kind: u64) -> Walk<u64> {
    // How much one value weighs: a group as many as it announces, a string as
    // much as it is long, at least one.
    let value = |column: &mut Input<'_>| -> Walk<u64> {
        Ok(match kind {
            0 => column.unsigned()?.max(1),
            3 => {
                column.signed()?;
                1
            }
            5 => {
                let len = column.unsigned()?;
                column.take(len)?;
                len.max(1)
            }
            _ => {
                column.unsigned()?;
                1
            }
        })
    };
    let mut weight = 0u64;
    while !column.0.is_empty() {
        let run = column.signed()?;
        let added = match run {
            0 => column.unsigned()?,
            1.. => value(column)?.saturating_mul(run.unsigned_abs()),
            _ => {
                let mut sum = 0u64;
                for _ in 0..run.unsigned_abs() {
                    sum = sum.saturating_add(value(column)?);
                }
                sum
            }
        };
        weight = weight.saturating_add(added);
    }
    Ok(weight)
}
