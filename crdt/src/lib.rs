//! What merges: the hybrid logical clock, and the values that two sides of a
//! cut may both have written.
//!
//! Everything here is pure: no clock is read, nothing is drawn at random that
//! could show, nothing is sent or stored. Every `merge` is commutative,
//! associative and idempotent, also for values that an honest writer cannot
//! make: equal keys with different content are settled by a total order of the
//! content.

pub mod counts;
pub mod cursor;
pub mod digest;
pub mod group;
pub mod hlc;
pub mod member;
pub mod mutants;
pub mod profile;
pub mod steady;

#[cfg(test)]
mod laws_tests;
