//! Chaos on real processes: nine nodes in three regions, each in a network of
//! its own, under faults of every kind, with real clients who are never told.
//!
//! [`enclosure`] makes the namespaces in which all of it happens; [`lab`],
//! [`disk`], [`clock`] and [`wide`] are what a [`machine`] is made of, and
//! [`field`] all nine of them. [`people`] and [`acts`] are the load, [`ledger`]
//! and [`listeners`] what they said and read. [`faults`] plans from a seed,
//! [`strike`] does it, [`judge`] looks at the end, and [`report`] tells.

pub mod acts;
pub mod clock;
pub mod disk;
pub mod enclosure;
pub mod faults;
pub mod field;
pub mod judge;
pub mod lab;
pub mod ledger;
pub mod listeners;
pub mod machine;
pub mod options;
pub mod people;
pub mod progress;
pub mod recovery;
pub mod rejoin;
pub mod report;
pub mod rules;
pub mod run;
mod shell;
pub mod strike;
mod table;
pub mod upgrade;
pub mod wide;
