//! Two holders of rows and what travels between them.

mod converge;
mod hostile;
mod span;
mod sums;
mod world;
