//! A stopped node's data folder, looked through and repaired. Nothing is
//! fetched from anywhere.

pub mod inspect;
pub mod repair;
