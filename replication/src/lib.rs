//! How a log is ordered and how it travels. No I/O, no clock, no randomness:
//! each core is `handle(event, now) -> actions`, or a function of its input.
//!
//! - [`apply`]: commands, in the order a shard agreed on, become entries and
//!   rows (design decision D4).
//! - [`follow`]: who holds a log pushes it; who wants it follows and fetches
//!   (D7, D8).
//! - [`meta`]: what the cluster agreed on about itself.
//! - [`placement`]: where a group, a user or a directory slot lives.
//! - [`presence`]: who is there, and who is writing (D12).
//! - [`reconcile`]: in which rows two copies differ.
//! - [`rehome`]: how a group moves to another shard.
//! - [`relay`]: through whom a node follows a shard (D8).
//! - [`rows`]: digests of a group's rows.
//! - [`tentative`]: what was said while a home could not be reached (D11).

pub mod apply;
pub mod follow;
pub mod meta;
pub mod placement;
pub mod presence;
pub mod reconcile;
pub mod rehome;
pub mod relay;
pub mod rows;
pub mod tentative;

#[cfg(test)]
mod testing;
