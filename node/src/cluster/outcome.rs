//! What an outcome means to the sender.

use folkmoot_replication::tentative;
use folkmoot_wire::proto::{Append, Kind, Moved, Outcome, command, outcome};
use folkmoot_wire::{Code, Fault};

/// Entries whose effect the sender looks for at once: membership and the
/// like. Messages are not waited for: they arrive by themselves.
pub(super) fn effect_is_awaited(op: &command::Op) -> bool {
    match op {
        command::Op::Append(append) => is_awaited(append),
        _ => false,
    }
}

/// The same of an append.
pub(super) fn is_awaited(append: &Append) -> bool {
    !matches!(
        append.kind(),
        Kind::Message | Kind::Action | Kind::Notice | Kind::Edit | Kind::Recall
    )
}

/// What may be taken as tentative while the home cannot be reached.
pub(super) fn may_be_tentative(op: &command::Op) -> bool {
    match op {
        command::Op::Append(append) => tentative::may_be(append),
        _ => false,
    }
}

/// Why a command was not answered for good: its group is not at home in the
/// shard (any more).
pub(super) enum Later {
    /// About to be at home elsewhere, or not.
    Fenced,
    /// At home elsewhere.
    Moved(Moved),
}

/// Whether the same command has to be proposed again, later or elsewhere.
/// Of what is proposed for people apply refuses nothing else as `unavailable`.
pub(super) fn later(outcome: &Outcome) -> Option<Later> {
    match &outcome.result {
        Some(outcome::Result::Moved(moved)) => Some(Later::Moved(*moved)),
        Some(outcome::Result::Rejected(rejected)) if rejected.code == Code::Unavailable as u32 => {
            Some(Later::Fenced)
        }
        _ => None,
    }
}

/// A refusal becomes an error.
pub(super) fn judged(outcome: Outcome) -> Result<Outcome, Fault> {
    match outcome.result {
        Some(outcome::Result::Rejected(rejected)) => Err(Fault::new(
            Code::from_u32(rejected.code).unwrap_or(Code::Internal),
            rejected.detail,
        )),
        Some(_) => Ok(outcome),
        None => Err(Fault::new(Code::Internal, "an empty outcome")),
    }
}
