//! Apply over a store in memory.

mod dedup;
mod members;
mod order;
mod outbox;
mod profile;
mod quiet;
mod quiet_joins;
mod replicas;
mod roles;
mod say;
mod split;
mod tombstones;
