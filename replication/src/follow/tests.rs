//! Feeds and followers, joined by a network in memory.

mod converge;
mod feed;
mod follower;
mod hostile;
mod lean;
mod moved;
mod net;
mod repair;
mod serve;
mod tombstones;
