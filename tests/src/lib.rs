//! Tests of the whole product.
//!
//! [`sim`] is the deterministic simulator: clusters of the real nodes and
//! clients under virtual time. [`chaos`] breaks real processes in every way. The
//! folder `tests/` beside it holds the tests themselves, those with real
//! processes too.

pub mod chaos;
pub mod sim;
