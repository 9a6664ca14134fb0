//! The whole product as real processes: real nodes, sockets and disks.

mod bad_input;
mod disks;
mod failover;
mod far;
mod lease;
mod leaving;
mod log;
mod moving;
mod node;
mod one_node;
mod people;
mod presence;
mod raw;
mod replay;
mod rows;
mod splitting;
mod survival;
mod tentative;
mod third_region;
mod voters;
