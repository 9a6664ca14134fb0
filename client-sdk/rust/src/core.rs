//! The SDK's protocol cores. They do no I/O and read no clock: events and the
//! time come in, actions go out, so a test can drive every interleaving.

pub mod backoff;
pub mod outbox;
pub mod session;
pub mod timeline;
