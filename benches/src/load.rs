//! The load.

pub(crate) mod open;
pub(crate) mod payload;
pub(crate) mod window;
