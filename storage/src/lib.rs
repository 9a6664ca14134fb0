//! Logs and rows on disk: the [`Store`] port, its two implementations
//! ([`RocksStore`] and, for simulation, [`MemStore`]), group commit, the
//! catalogue of [`keys`] and the codec of values.
//!
//! A write is visible at once and durable after the next sync; many writers
//! share one sync through [`Commit`]. A store that could not write or sync
//! stops for good ([`StoreError::Failed`]): what the disk holds after a failed
//! fsync is not known, so going on could acknowledge what is not there.

mod batch;
mod commit;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod index;
pub mod keys;
mod layer;
pub mod log;
mod mem;
mod observed;
mod place;
mod rocks;
mod seat;
mod store;
mod table;
pub mod value;

pub use batch::{Batch, Op};
pub use commit::{Commit, CommitOptions, Done, TaskCommit, ThreadCommit};
pub use error::StoreError;
pub use index::{
    Indexed, ROLES, ReadersOf, Sorted, check_index, find_readers, gone, member_counts, members,
    mentions, readers,
};
pub use layer::Layer;
pub use mem::{Crash, MemStore};
pub use observed::{Changed, Observed, Told};
pub use place::Place;
pub use rocks::{FORMAT_VERSION, RocksOptions, RocksStore};
pub use seat::Seat;
pub use store::{Direction, Pair, Read, Store};
pub use table::Table;

#[cfg(test)]
mod model_tests;
