//! A cluster of three regions in one thread under virtual time: the real node
//! above its ports, the real Rust SDK, simulated networks, disks and clocks.
//! One seed is one history; the same seed is the same history again.
//!
//! | file | what |
//! |---|---|
//! | [`plan`] | what a seed means: the cluster's shape, its people, the faults |
//! | [`draw`] | randomness from a seed, one stream per purpose |
//! | [`net`], [`weather`], [`disk`], [`clock`] | the ports |
//! | [`machine`], [`world`] | nodes that are founded, joined, crashed and started |
//! | [`person`], [`workload`], [`moderation`], [`raw`] | clients, and what they do |
//! | [`faults`], [`schedule`], [`suffering`], [`lies`] | what happens to the cluster, and when |
//! | [`oracle`] | all that looks on; of it [`book`]: what clients were told, [`talk`]: what crosses the network |
//! | [`quiet`] | waiting for the end of everything under way |
//! | [`sometimes`] | whether it occurred at all |
//! | [`invariants`] | what must hold, one file each |
//! | [`trace`] | a hash over every delivery and every write |
//! | [`run`], [`report`], [`failure`] | one history, and many, and what is told of them |
//!
//! Nothing in here may differ from run to run: no clocks but tokio's, no
//! randomness but [`draw`]'s, no maps without an order.

pub mod book;
pub mod clock;
mod counted;
pub mod disk;
pub mod draw;
pub mod failure;
pub mod faults;
pub mod findings;
pub mod invariants;
pub mod lies;
pub mod local;
pub mod machine;
pub mod moderation;
#[cfg(folkmoot_mutants)]
pub mod mutants;
pub mod net;
pub mod operator;
mod oracle;
pub mod person;
pub mod plan;
pub mod present;
pub mod quiet;
pub mod raw;
pub mod reader;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sometimes;
pub mod suffering;
pub mod talk;
pub mod trace;
pub mod weather;
pub mod workload;
pub mod world;
