//! What an outcome means to the sender.

use folkmoot_replication::tentative;
use folkmoot_wire::proto::{Kind, Outcome, command, outcome};
use folkmoot_wire::{Code, Fault};

/// Entries whose effect the sender looks for at once: membership and the
/// like. Messages are not waited for: they arrive by themselves.
pub(super) fn effect_is_awaited(op: &command::Op) -> bool {
    match op {
        command::Op::Append(append) => !matches!(
            append.kind(),
            Kind::Message | Kind::Action | Kind::Notice | Kind::Edit | Kind::Recall
        ),
        _ => false,
    }
}

/// What may be taken as tentative while the home cannot be reached.
pub(super) fn may_be_tentative(op: &command::Op) -> bool {
    match op {
        command::Op::Append(append) => tentative::may_be(append),
        _ => false,
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
