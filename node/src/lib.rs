//! The node: wiring of everything behind one daemon.
//!
//! [`cluster`] is what nodes are to each other, [`edge`] what a node is to
//! its clients; [`backend`] is the port between the two. [`boot`] puts a node
//! on a real machine, [`http`] and [`admin`] are its listeners beside QUIC,
//! [`cli`] is the `folkmoot` command and [`demo`] its demonstration; [`offline`] looks
//! after the folder of a node that is stopped.

pub mod admin;
pub mod backend;
pub mod boot;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod edge;
pub mod entry_json;
pub mod http;
pub mod metrics;
pub mod offline;
pub mod ports;
pub mod row_digests;
pub mod survival;
