//! `folkmoot-bench`: how fast Folkmoot is, beside others that do a part of
//! what it does, on the same machine and in the same run.
//!
//! [`all`] runs the others, and says which figures are reached; [`compare`] runs
//! those that peers can do, over sizes and paces, and [`floor`] says what ours is
//! to bare loops: each as a process of its own ([`child`]). [`path`] is the
//! way of a message: sent, committed, delivered; [`failover`]
//! is what happens to it when a leader is killed, [`split`] when its shard is
//! split; [`fanout`] is its way to many
//! at once, [`herd`] many who come back at once, both through [`crowd`], the
//! ports for what many are connected to,
//! [`idle`] what its connections cost that do nothing, and [`counts`] what it
//! takes to tell one person what is unread everywhere, [`cursors`] to hear from
//! many what they have read, [`members`] to let many into one group and find them there. [`storm`] is a
//! real channel in a hurry, over several regions. [`peer`] is
//! the port behind which Folkmoot, JetStream and Redis are alike, [`load`]
//! makes the load, [`machine`] says what it cost. [`parts`] measures what
//! single parts of a node can do, [`scale`] simulates clusters that no machine
//! here holds.

mod all;
mod child;
pub mod cli;
mod compare;
mod counts;
mod crowd;
mod cursors;
mod failover;
mod fanout;
mod flags;
mod floor;
mod herd;
mod idle;
mod load;
mod machine;
mod members;
mod parts;
mod path;
mod peer;
mod plot;
mod process;
mod progress;
mod run;
mod scale;
mod split;
mod stats;
mod storm;
mod table;
