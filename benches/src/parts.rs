//! What single parts of a node can do.

pub(crate) mod commit;
pub(crate) mod propose;
pub(crate) mod reconcile;
